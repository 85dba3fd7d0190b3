// Cuts the power at every moment of a broker's life, afterwards.
//
//   power_cut [CUTS] [--seed N] [--jobs N] [--keep FOLDER]
//
// A broker's writes are recorded under load. Then, for so many moments of it, the journal is put together as
// the disk may have had it: what was synced is there, of what was written since any part. The real journal
// opens it, a dispatcher replays it, every payload is read, and one more turn is committed. No job that the
// client had been told of by then may be missing, nothing may be damaged. Exit status 0 when that holds.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "broker/dispatcher.h"
#include "broker/lmdb_journal.h"
#include "tests/support/temp_dir.h"
#include "tests/system/campaign/record.h"
#include "tests/system/powercut/disk_image.h"
#include "tests/system/powercut/recording.h"

namespace tandem::testing {
namespace {

using broker::AcceptedFact;
using broker::FinishedFact;
using broker::Sequence;

struct Settings {
  size_t n_cuts = 400;
  uint64_t seed = 0;
  size_t n_jobs = 1500;
  std::string keep;
};

struct Found {
  Sequence sequence_max = 0;
  std::map<JobId, Sequence> accepted;
  std::map<JobId, Sequence> finished;
};

Result<std::string> word_of(broker::Journal& journal, Sequence sequence) {
  TANDEM_ASSIGN(const broker::FactBody body, journal.read(sequence));
  if (!body.error.text.empty()) return outcome_word(fail(body.error));
  return outcome_word(decode_job_result(body.payload.view()));
}

// Everything that the journal has, each byte of it looked at.
Result<Found> look_into(broker::Journal& journal) {
  Found found;
  broker::DispatcherConfig config;
  config.hash_seed = journal.hash_seed();
  broker::Dispatcher dispatcher(config);
  TANDEM_TRY(journal.replay({[&](const AcceptedFact& fact, size_t payload_bytes) -> Result<void> {
                               found.accepted[fact.id] = fact.sequence;
                               found.sequence_max = std::max(found.sequence_max, fact.sequence);
                               return dispatcher.replay(fact, payload_bytes);
                             },
                             [&](const FinishedFact& fact, size_t payload_bytes) -> Result<void> {
                               found.finished[fact.id] = fact.sequence;
                               found.sequence_max = std::max(found.sequence_max, fact.sequence);
                               return dispatcher.replay(fact, payload_bytes);
                             },
                             [&](Sequence sequence) { dispatcher.replay_acknowledged(sequence); }}));
  const ManualClock clock;
  dispatcher.start(clock.now(), clock.wall_ms());
  for (const auto* facts : {&found.accepted, &found.finished}) {
    for (const auto& [id, sequence] : *facts) TANDEM_TRY(journal.read(sequence));
  }
  return found;
}

// The client's promises up to `time`, held against what is there.
Result<void> hold(broker::Journal& journal, const Found& found, const Recording& recording, int64_t time) {
  const auto had = [time](int64_t at) { return at != 0 && at < time; };
  for (const auto& [id, promise] : recording.promises) {
    if (promise.forget_at != 0 && promise.forget_at <= time) continue;
    const std::string name = "job " + id.to_string();
    const bool knew_outcome = had(promise.outcome_at);
    if ((had(promise.accepted_at) || knew_outcome) && !found.accepted.contains(id)) {
      return fail(ErrorCode::kNotFound, name + " was accepted and is missing");
    }
    if (!knew_outcome) continue;
    const auto finished = found.finished.find(id);
    if (finished == found.finished.end())
      return fail(ErrorCode::kNotFound, name + " had an outcome that is missing");
    TANDEM_ASSIGN(const std::string word, word_of(journal, finished->second));
    if (word != promise.outcome) {
      return fail(ErrorCode::kCorrupt,
                  name + ": expected the outcome " + promise.outcome + ", found " + word);
    }
  }
  return {};
}

// A journal that came back must also go on.
Result<void> commit_one_more(broker::Journal& journal, Sequence sequence) {
  AcceptedFact fact;
  fact.sequence = sequence;
  fact.id = make_job_id();
  fact.client = "carl";
  fact.payload = std::string(9000, 'y');
  fact.payload_hash = hash128(fact.payload, journal.hash_seed());
  broker::FactBatch batch;
  batch.accepted = {fact};
  TANDEM_TRY(journal.commit(batch));
  TANDEM_TRY(journal.read(sequence));
  return {};
}

Result<void> try_disk(const DiskImage::Files& files, const std::filesystem::path& folder,
                      const Recording& recording, int64_t time) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  for (const auto& [name, content] : files) {
    std::filesystem::create_directories((folder / name).parent_path());
    std::ofstream(folder / name, std::ios::binary) << content;
  }
  TANDEM_ASSIGN(const auto journal, broker::LmdbJournal::open({folder, uint64_t{4} << 30}));
  TANDEM_ASSIGN(const Found found, look_into(*journal));
  TANDEM_TRY(hold(*journal, found, recording, time));
  return commit_one_more(*journal, found.sequence_max + 1);
}

int run(Settings settings) {
  if (settings.seed == 0) settings.seed = std::random_device{}();
  std::printf("%zu power cuts, seed %llu\n", settings.n_cuts, static_cast<unsigned long long>(settings.seed));
  std::fflush(stdout);
  const auto recording = record_broker(settings.n_jobs, settings.seed);
  if (!recording) {
    std::printf("FAILED to record: %s\n", recording.error().text.c_str());
    return 1;
  }
  const std::vector<WriteRecord>& writes = recording->writes;
  size_t n_bytes = 0, n_syncs = 0;
  for (const WriteRecord& record : writes) {
    n_bytes += record.bytes.size();
    n_syncs += record.kind == WriteKind::kSync || record.kind == WriteKind::kDurable;
  }
  std::printf("recorded %zu jobs: %zu writes and syncs, %zu syncs, %.1f MiB\n", recording->promises.size(),
              writes.size(), n_syncs, static_cast<double>(n_bytes) / (1 << 20));

  // The first moments, when the journal is made, are all tried; later ones at random.
  std::mt19937_64 random(settings.seed);
  std::multimap<size_t, Luck> cuts;
  for (size_t at = 0; at < std::min<size_t>(writes.size(), 40); ++at) {
    for (const Luck luck : kLucks) cuts.emplace(at, luck);
  }
  while (cuts.size() < settings.n_cuts) cuts.emplace(random() % writes.size(), kLucks[random() % 4]);

  // Memory is quicker than a disk, and what is tried is not the disk of today.
  ::setenv("TMPDIR", "/dev/shm", 0);
  const TempDir dir;
  DiskImage image;
  size_t n_tried = 0, n_failed = 0;
  for (size_t at = 0; at < writes.size(); ++at) {
    image.apply(writes[at]);
    // Up to the next write the client has heard what it has heard.
    const int64_t time = at + 1 < writes.size() ? writes[at + 1].time_ns : INT64_MAX;
    const auto [first, last] = cuts.equal_range(at);
    for (auto cut = first; cut != last; ++cut) {
      ++n_tried;
      const DiskImage::Files files = image.after_power_cut(cut->second, random);
      const Result<void> held = try_disk(files, dir / "journal", *recording, time);
      if (held) continue;
      if (++n_failed <= 10) {
        std::printf("after write %zu of %zu (luck %d): %s\n", at, writes.size(),
                    static_cast<int>(cut->second), held.error().text.c_str());
      }
      if (!settings.keep.empty()) {
        std::filesystem::copy(dir / "journal", settings.keep + "/" + std::to_string(n_failed));
      }
    }
  }
  std::printf("%zu power cuts tried, %zu failed\n%s\n", n_tried, n_failed,
              n_failed == 0 ? "All held." : "FAILED");
  return n_failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tandem::testing

int main(int argc, char** argv) {
  tandem::testing::Settings settings;
  CLI::App app("Cuts the power at every moment of a broker's life.", "power_cut");
  app.add_option("cuts", settings.n_cuts, "how many moments")->check(CLI::PositiveNumber);
  app.add_option("--seed", settings.seed, "repeats the choices of a run");
  app.add_option("--jobs", settings.n_jobs, "jobs of the recorded load");
  app.add_option("--keep", settings.keep, "a folder for journals that failed");
  CLI11_PARSE(app, argc, argv);
  return tandem::testing::run(settings);
}
