// Notices that jobs wait because no worker is there.

#pragma once

#include <optional>

#include "client/include/tandem/client.h"

namespace tandem::cli {

inline constexpr const char* kNobodyWorks = "no worker is there; waiting for one (start it: tandem-worker)";

class WorkerWatch {
 public:
  // To be asked often while jobs are outstanding. `n_heard` grows with what comes of them. True once: nothing
  // came for three seconds, and the broker's Status names no worker.
  bool nobody_works(Client& client, uint64_t n_heard, TimePoint now);

 private:
  uint64_t n_heard_ = 0;
  std::optional<TimePoint> quiet_since_;
  bool said_ = false;
};

}  // namespace tandem::cli
