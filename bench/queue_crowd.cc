#include <sys/resource.h>

#include <list>
#include <optional>
#include <string>
#include <vector>

#include "bench/median.h"
#include "bench/queue_client.h"
#include "bench/queue_crowd_peers.h"
#include "bench/queue_parts.h"
#include "bench/queue_worker.h"
#include "tests/support/temp_dir.h"

namespace tandem::bench {
namespace {

using namespace std::chrono_literals;
constexpr size_t kCreditOfAll = 4000;  // of a crowd that works, together

// The broker inherits the limit.
Result<void> allow_open_files(size_t n_files) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max < n_files) {
    return fail(ErrorCode::kUnavailable, "expected that " + std::to_string(n_files) +
                                             " files may be open (ulimit -Hn), found " +
                                             std::to_string(limit.rlim_max));
  }
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return {};
}

enum class Scene { kAlone, kIdleCrowd, kWorkingCrowd };

struct Among {
  Life life;
  size_t n_fetched = 0;  // outcomes that the producer missed
};

// 1,000 jobs outstanding: with two workers of our own, or with all workers of the crowd instead of them.
Result<Among> live_among(Scene scene, const QueueOptions& options) {
  const testing::TempDir folder;
  BrokerOptions broker_options;
  broker_options.folder = folder.path();
  TANDEM_ASSIGN(const BrokerProcess broker, BrokerProcess::start(broker_options));

  std::list<Crowd> crowds;
  if (scene != Scene::kAlone) {
    const size_t credit = scene == Scene::kWorkingCrowd ? kCreditOfAll / options.n_crowd + 1 : 0;
    for (size_t first = 0; first < options.n_crowd; first += kCrowdPeersMax) {
      const size_t n_peers = std::min(kCrowdPeersMax, options.n_crowd - first);
      crowds.emplace_back(broker, Crowd::Kind::kWorkers, first, n_peers, static_cast<uint32_t>(credit));
      crowds.emplace_back(broker, Crowd::Kind::kClients, first, n_peers, 0);
    }
    for (const Crowd& crowd : crowds) TANDEM_TRY(crowd.wait_until_there(60s));
  }
  std::optional<NullWorker> first, second;
  if (scene != Scene::kWorkingCrowd) {
    first.emplace(broker, "null-1");
    second.emplace(broker, "null-2");
  }
  BenchClient client(broker);
  TANDEM_ASSIGN(const Life life, live(client, 1000, options.seconds));
  return Among{life, client.n_fetched()};
}

}  // namespace

Result<void> measure_crowd(const QueueOptions& options, Report& report) {
  TANDEM_TRY(allow_open_files(2 * options.n_crowd * kFilesPerPeer + 500));
  std::vector<double> idle, idle_share, idle_cpu, working, working_share, working_cpu;
  size_t n_fetched = 0;
  for (size_t i = 0; i < options.n_rounds; ++i) {
    TANDEM_ASSIGN(const Among alone, live_among(Scene::kAlone, options));
    TANDEM_ASSIGN(const Among among_idle, live_among(Scene::kIdleCrowd, options));
    TANDEM_ASSIGN(const Among among_working, live_among(Scene::kWorkingCrowd, options));
    idle.push_back(among_idle.life.rate);
    idle_share.push_back(among_idle.life.rate / alone.life.rate);
    idle_cpu.push_back(among_idle.life.cpu_us);
    working.push_back(among_working.life.rate);
    working_share.push_back(among_working.life.rate / alone.life.rate);
    working_cpu.push_back(among_working.life.cpu_us);
    n_fetched += among_working.n_fetched;
  }
  const std::string crowd = std::to_string(options.n_crowd) + " workers and as many clients";
  report.add(
      {"queue.crowd", median(idle), "jobs/s", median(idle_share), crowd + ", idle; of queue.life.1000"});
  report.add({"queue.crowd.cpu_us", median(idle_cpu), "us/job", std::nullopt, "of the broker"});
  report.add({"queue.crowd.working", median(working), "jobs/s", median(working_share),
              "its workers do the jobs; " + std::to_string(n_fetched) + " outcomes missed and fetched"});
  report.add({"queue.crowd.working.cpu_us", median(working_cpu), "us/job", std::nullopt, "of the broker"});
  return {};
}

}  // namespace tandem::bench
