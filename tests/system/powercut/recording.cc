#include "tests/system/powercut/recording.h"

#include <signal.h>
#include <time.h>

#include <filesystem>
#include <random>

#include "client/include/tandem/client.h"
#include "shared/base/file.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/system/campaign/record.h"
#include "tests/system/powercut/disk_image.h"

namespace tandem::testing {
namespace {

using namespace std::chrono_literals;

int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

// Submits, hears, cancels and forgets, so that pages of the journal are freed and used again.
class Customer {
 public:
  Customer(Client& client, Recording& recording, uint64_t seed)
      : client_(client), promises_(recording.promises), random_(seed) {}

  bool run(size_t n_jobs) {
    const SystemClock clock;
    const TimePoint end = clock.now() + 60s;
    size_t n_submitted = 0;
    while (clock.now() < end) {
      // In bursts, so that commits are of all sizes.
      for (size_t n = random_() % 40; n > 0 && n_submitted < n_jobs && client_.n_outstanding() < 300; --n) {
        submit();
        ++n_submitted;
      }
      listen();
      if (random_() % 4 == 0) forget_some();
      if (n_submitted == n_jobs && client_.n_outstanding() == 0) return true;
    }
    return false;
  }

 private:
  void submit() {
    JobRequest request;
    request.tasks = {"echo"};
    const size_t n_bytes = random_() % 10 == 0 ? random_() % 20'000 : 20 + random_() % 600;
    request.text = std::to_string(random_()) + std::string(n_bytes, 'x');
    SubmitOptions options;
    options.delay = milliseconds(random_() % 20 == 0 ? 100 : 0);
    if (const auto id = client_.submit(request, options)) waiting_.push_back(*id);
  }

  void listen() {
    for (const ClientEvent& event : client_.wait(milliseconds(random_() % 10))) {
      const auto* outcome = std::get_if<Outcome>(&event);
      if (outcome == nullptr) continue;
      Promise& promise = promises_[outcome->id];
      promise.outcome_at = now_ns();
      promise.outcome = outcome_word(outcome->result);
      ended_.push_back(outcome->id);
    }
    std::erase_if(waiting_, [&](const JobId& id) {
      if (!client_.accepted(id)) return promises_[id].outcome_at != 0;
      promises_[id].accepted_at = now_ns();
      if (random_() % 40 == 0) (void)client_.cancel({id});
      return true;
    });
  }

  void forget_some() {
    const size_t n = std::min<size_t>(ended_.size(), random_() % 60);
    std::vector<JobId> ids;
    while (ids.size() < n) {
      std::swap(ended_[random_() % ended_.size()], ended_.back());
      ids.push_back(ended_.back());
      promises_[ids.back()].forget_at = now_ns();
      ended_.pop_back();
    }
    if (!ids.empty()) (void)client_.forget(ids, 5s);
  }

  Client& client_;
  std::map<JobId, Promise>& promises_;
  std::mt19937_64 random_;
  std::vector<JobId> waiting_, ended_;
};

// What the log says must be what is there, or the log is not the whole truth.
Result<void> compare(const std::vector<WriteRecord>& writes, const std::filesystem::path& folder) {
  DiskImage image;
  for (const WriteRecord& record : writes) image.apply(record);
  std::mt19937_64 unused;
  const DiskImage::Files files = image.after_power_cut(Luck::kEverything, unused);
  if (files.empty()) return fail(ErrorCode::kInternal, "nothing was recorded");
  for (const auto& [name, content] : files) {
    TANDEM_ASSIGN(const std::string there, read_file(folder / name, size_t{1} << 30));
    if (there != content) {
      return fail(ErrorCode::kInternal, name + ": expected " + std::to_string(there.size()) +
                                            " bytes as they are on the disk, the log gives " +
                                            std::to_string(content.size()) + " others");
    }
  }
  return {};
}

}  // namespace

Result<Recording> record_broker(size_t n_jobs, uint64_t seed) {
  const TempDir dir;
  const std::string journal = (dir / "journal").string(), log = (dir / "writes").string();
  std::filesystem::create_directories(dir / "run");
  Recording recording;
  {
    Process broker({"tandem-broker", "--set", "journal.folder=" + journal, "--set", "broker.backoff_ms=10"},
                   {.input = "",
                    .environment = {{"TANDEM_RUN_DIR", (dir / "run").string()},
                                    {"LD_PRELOAD", (bin_dir() / "libwrite_log_shim.so").string()},
                                    {"TANDEM_WRITE_LOG", log},
                                    {"TANDEM_WRITE_LOG_FOLDER", journal}},
                    .output_dir = dir.path()});
    if (!broker.wait_for_output("ready")) return fail(ErrorCode::kUnavailable, "broker: " + broker.err());
    const auto at = [&](const std::string& door) { return "ipc://" + (dir / "run" / door).string(); };
    const auto start_worker = [&](const std::string& name) {
      return Process({"null-worker", "--name", name, "--work", at("work"), "--results", at("results-in"),
                      "--delay-us", "3000", "--credit", "64"},
                     {.input = "", .environment = {}, .output_dir = dir.path()});
    };
    Process ann = start_worker("ann"), bob = start_worker("bob");
    ClientOptions options;
    options.submit_endpoint = at("submit");
    options.results_endpoint = at("results-out");
    options.name = "carl";
    TANDEM_ASSIGN(const auto client, Client::open(options));
    if (!Customer(*client, recording, seed).run(n_jobs)) {
      return fail(ErrorCode::kTimeout, "jobs without an outcome; broker: " + broker.err());
    }
    broker.kill(SIGTERM);
    if (broker.wait() != 0) return fail(ErrorCode::kInternal, "broker: " + broker.err());
  }
  TANDEM_ASSIGN(recording.writes, read_write_log(log));
  TANDEM_TRY(compare(recording.writes, journal));
  return recording;
}

}  // namespace tandem::testing
