#include <filesystem>
#include <string>
#include <vector>

#include "bench/median.h"
#include "bench/process_figures.h"
#include "bench/queue_client.h"
#include "bench/queue_parts.h"
#include "bench/queue_worker.h"
#include "shared/base/format.h"
#include "tests/support/temp_dir.h"

namespace tandem::bench {
namespace {

// What a job may need in the journal, with room for what is put in and taken out while it is measured.
constexpr uint64_t kDiskBytesPerJob = 800;
constexpr uint64_t kDiskBytesBeside = 2ull << 30;
constexpr uint32_t kCredit = 500;  // of each worker: as many under way as in queue.life.1000

Result<void> check_disk(const std::filesystem::path& folder, size_t n_jobs) {
  const uint64_t needed = n_jobs * kDiskBytesPerJob + kDiskBytesBeside;
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  if (error) return fail(ErrorCode::kIo, folder.string() + ": " + error.message());
  if (space.available >= needed) return {};
  return fail(ErrorCode::kFull,
              fmt::format("{}: expected {:.1f} GB of free disk for a backlog of {} jobs, found "
                          "{:.1f} GB; TMPDIR names another disk, --backlog fewer jobs",
                          folder.string(), static_cast<double>(needed) * 1e-9, n_jobs,
                          static_cast<double>(space.available) * 1e-9));
}

// Jobs that were accepted and are with no worker, and how a broker bears them.
struct Standing {
  double accepted_per_s = 0;
  double replay_s = 0;        // from the start of the program, with the journal in the page cache
  double bytes = 0;           // of the broker's memory, for each job
  double replayed_bytes = 0;  // the same after the restart
};

BrokerOptions broker_options(const testing::TempDir& folder, size_t n_jobs) {
  BrokerOptions options;
  options.folder = folder.path();
  options.journal_bytes += n_jobs * 2 * kDiskBytesPerJob;  // far from the watermark
  return options;
}

// Leaves the journal, with no broker that runs.
Result<Standing> pile_up(const testing::TempDir& folder, size_t n_jobs) {
  Standing standing;
  const double n = static_cast<double>(n_jobs);
  {
    TANDEM_ASSIGN(const BrokerProcess broker, BrokerProcess::start(broker_options(folder, n_jobs)));
    BenchClient client(broker, BenchClient::Use::kSubmitsOnly);
    const uint64_t bytes_before = anonymous_bytes(broker.pid());
    const auto begin = std::chrono::steady_clock::now();
    TANDEM_TRY(client.submit_and_wait(n_jobs));
    standing.accepted_per_s = n / seconds_since(begin);
    standing.bytes = static_cast<double>(anonymous_bytes(broker.pid()) - bytes_before) / n;
  }
  const auto begin = std::chrono::steady_clock::now();
  TANDEM_ASSIGN(const BrokerProcess broker, BrokerProcess::start(broker_options(folder, n_jobs)));
  standing.replay_s = seconds_since(begin);
  standing.replayed_bytes = static_cast<double>(anonymous_bytes(broker.pid())) / n;
  return standing;
}

// The workers take from the backlog's head, and for each outcome a job joins its tail.
Result<Life> live_behind(const BrokerProcess& broker, Seconds time) {
  const NullWorker first(broker, "null-1", kCredit), second(broker, "null-2", kCredit);
  BenchClient client(broker, BenchClient::Use::kListensToBacklog);
  TANDEM_TRY(keep_flowing(client, time / 5));
  return keep_flowing(client, time);
}

}  // namespace

Result<void> measure_replay(const QueueOptions& options, Report& report) {
  const testing::TempDir folder;
  TANDEM_ASSIGN(const Standing standing, pile_up(folder, options.n_replay));
  report.add(
      {"queue.accept", standing.accepted_per_s, "jobs/s", std::nullopt, "accepted, with no worker there"});
  report.add({"queue.replay", static_cast<double>(options.n_replay) / standing.replay_s, "jobs/s",
              std::nullopt, "unfinished jobs, from the broker's start to its ready"});
  return {};
}

Result<void> measure_backlog(const QueueOptions& options, Report& report) {
  const testing::TempDir folder;
  TANDEM_TRY(check_disk(folder.path(), options.n_backlog));
  const std::string n_jobs = std::to_string(options.n_backlog) + " jobs";
  TANDEM_ASSIGN(const Standing standing, pile_up(folder, options.n_backlog));
  report.add({"queue.backlog.accept", standing.accepted_per_s, "jobs/s", std::nullopt, n_jobs});
  report.add({"queue.backlog.memory", standing.bytes, "B/job", std::nullopt,
              "of the broker, without its memory map"});
  report.add(
      {"queue.backlog.replay", standing.replay_s, "s", std::nullopt, "from the broker's start to its ready"});
  report.add({"queue.backlog.replayed", standing.replayed_bytes, "B/job", std::nullopt, "memory after that"});

  TANDEM_ASSIGN(const BrokerProcess broker, BrokerProcess::start(broker_options(folder, options.n_backlog)));
  std::vector<double> rates, shares;
  for (size_t i = 0; i < options.n_rounds; ++i) {
    TANDEM_ASSIGN(const Life behind, live_behind(broker, options.seconds));
    TANDEM_ASSIGN(const auto empty, start_tandem());
    TANDEM_ASSIGN(const Life alone, live(*empty, 1000, options.seconds));
    rates.push_back(behind.rate);
    shares.push_back(behind.rate / alone.rate);
  }
  report.add(
      {"queue.backlog.life", median(rates), "jobs/s", median(shares), "of queue.life.1000 at that moment"});
  return {};
}

}  // namespace tandem::bench
