// What goes wrong in a campaign: who is hit, how, and when it is over again. Seeded.

#pragma once

#include <functional>
#include <map>
#include <random>
#include <string>

#include "tests/system/campaign/hosts.h"
#include "tests/system/campaign/stage.h"

namespace tandem::testing {

// The means, where a phase has them.
struct FaultMeans {
  Host* workers_host = nullptr;
  Host* clients_host = nullptr;
  SmallDisk* disk = nullptr;
};

class Faults {
 public:
  Faults(Stage& stage, FaultMeans means, std::mt19937_64& random)
      : stage_(stage), means_(means), random_(random) {}

  // One thing goes wrong.
  void one();
  // What was to happen until now: the stopped go on, cables are mended.
  void tend();
  // Everything is mended, at once.
  void end_all();
  const std::map<std::string, size_t>& counts() const { return counts_; }

 private:
  void hit(Stage::Role role);
  void hit_cable();
  void fill_disk();
  void later(Duration pause, std::function<void()> what);
  Duration between(int least_ms, int most_ms) {
    return milliseconds(least_ms +
                        static_cast<int>(random_() % static_cast<uint64_t>(most_ms - least_ms + 1)));
  }

  Stage& stage_;
  const FaultMeans means_;
  std::mt19937_64& random_;
  SystemClock clock_;
  std::multimap<TimePoint, std::function<void()>> later_;
  std::map<std::string, size_t> counts_;
  bool disk_full_ = false;
};

}  // namespace tandem::testing
