// What everybody in the simulation shares: the time, the dice, the phase, and the list of what went wrong.

#pragma once

#include <cstdint>
#include <random>
#include <set>
#include <string>

#include "broker/dispatcher.h"
#include "shared/base/clock.h"

namespace tandem::broker::sim {

// Storm: everything may fail. Settling: nothing fails any more, and what the storm left comes to its end.
// Calm: new jobs, nothing fails, and the order in which they go out is looked at.
enum class Phase { kStorm, kSettling, kCalm };

// How likely something is, in each step of 100 ms; of messages, for each one.
struct SimulationConfig {
  uint64_t seed = 1;
  int n_clients = 3, n_workers = 4, n_hosts = 2;
  int n_storm_jobs = 60, n_calm_jobs = 60;
  Duration storm = std::chrono::minutes(1);
  double loss = 0.05, repeat = 0.05;  // of messages
  double worker_death = 0.005;        // of each worker
  double worker_pause = 0.002;        // it stops without a word, and goes on later
  double broker_death = 0.005;
  double broker_lag = 0.1;       // of the broker's turns: what they decided is said with the next one's
  double clock_jump = 0.001;     // of the wall clock, by an hour
  double poison = 0.03;          // of jobs: they kill their worker
  double equal_jobs = 0.3;       // of jobs: another one's text
  bool is_calm_crowded = false;  // one place at each worker, and nearly all jobs at the same level
  double equal_calm_jobs = 0;    // in the calm, where shares are compared only without
  DispatcherConfig dispatcher;
};

// A world that nobody has seen before, from its seed alone.
SimulationConfig draw_config(uint64_t seed);

class World {
 public:
  explicit World(const SimulationConfig& given) : config(given), random_(given.seed) {}

  static constexpr Duration kStep = milliseconds(100);

  bool is_storm() const { return phase == Phase::kStorm; }
  int64_t wall_ms() const { return (now.time_since_epoch() + wall_offset) / milliseconds(1); }

  bool chance(double probability) {
    return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
  }
  // What happens in the storm only.
  bool accident(double probability) { return is_storm() && chance(probability); }
  uint64_t below(uint64_t n) { return std::uniform_int_distribution<uint64_t>(0, n - 1)(random_); }
  milliseconds between(int64_t from_ms, int64_t to_ms) {
    return milliseconds(std::uniform_int_distribution<int64_t>(from_ms, to_ms)(random_));
  }

  void wrong(const std::string& what);
  const std::set<std::string>& wrongs() const { return wrongs_; }

  const SimulationConfig config;
  TimePoint now{std::chrono::hours(1)};
  Duration wall_offset{std::chrono::hours(400'000)};
  Phase phase = Phase::kStorm;

 private:
  std::mt19937_64 random_;
  std::set<std::string> wrongs_;
};

}  // namespace tandem::broker::sim
