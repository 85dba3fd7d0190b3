#include "tests/sim/world.h"

namespace tandem::broker::sim {
namespace {

using namespace std::chrono_literals;

constexpr size_t kWrongsMax = 20;  // what follows is mostly the same again

}  // namespace

void World::wrong(const std::string& what) {
  if (wrongs_.size() >= kWrongsMax) return;
  const char* phases[] = {"storm", "settling", "calm"};
  wrongs_.insert(std::string(phases[static_cast<int>(phase)]) + " " +
                 std::to_string(now.time_since_epoch() / 1ms - 3'600'000) + " ms: " + what);
}

SimulationConfig draw_config(uint64_t seed) {
  std::mt19937_64 random(seed * 0x9e3779b97f4a7c15ull + 1);
  const auto between = [&](int from, int to) { return std::uniform_int_distribution<int>(from, to)(random); };
  const auto one_in = [&](int n) { return between(1, n) == 1; };
  SimulationConfig config;
  config.seed = seed;
  config.n_clients = between(1, 5);
  config.n_workers = between(1, 6);
  config.n_hosts = between(1, 3);
  config.n_storm_jobs = between(10, 90);
  config.n_calm_jobs = between(10, 90);
  config.storm = std::chrono::seconds(between(20, 60));
  config.loss = config.repeat = between(0, 10) / 100.0;
  config.worker_death = one_in(4) ? 0.03 : between(0, 8) / 1000.0;
  config.worker_pause = between(0, 4) / 1000.0;
  config.broker_death = one_in(4) ? 0.03 : between(0, 8) / 1000.0;
  config.broker_lag = one_in(2) ? 0 : between(1, 50) / 100.0;
  config.clock_jump = one_in(2) ? 0 : 0.003;
  config.poison = one_in(2) ? 0 : 0.05;
  config.equal_jobs = between(0, 6) / 10.0;
  config.equal_calm_jobs = one_in(2) ? 0 : 0.3;

  config.is_calm_crowded = one_in(2);

  DispatcherConfig& broker = config.dispatcher;
  broker.lease = milliseconds(between(30, 100) * 100);
  broker.heartbeat = broker.lease / 5;
  broker.attempts_max = static_cast<uint32_t>(between(1, 6));
  broker.backoff = milliseconds(between(1, 1'000));
  broker.backoff_max = 5s;
  broker.restart_grace = milliseconds(between(0, 4) * 1'000);
  broker.retention = one_in(4) ? std::chrono::duration_cast<milliseconds>(5min) : 24h;
  if (one_in(3)) broker.limits.jobs_max = static_cast<uint64_t>(between(1, 8));
  if (one_in(4)) broker.limits.bytes_max = static_cast<uint64_t>(between(60, 400));
  if (one_in(4)) {
    broker.limits.jobs_per_second = between(1, 30) / 3.0;
    broker.limits.jobs_burst = static_cast<uint64_t>(between(1, 5));
  }
  return config;
}

}  // namespace tandem::broker::sim
