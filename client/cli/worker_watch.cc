#include "client/cli/worker_watch.h"

#include <utility>

namespace tandem::cli {
namespace {

constexpr Duration kQuiet = std::chrono::seconds(3);
constexpr Duration kAnswerWithin = milliseconds(500);

}  // namespace

bool WorkerWatch::nobody_works(Client& client, uint64_t n_heard, TimePoint now) {
  if (said_) return false;
  if (std::exchange(n_heard_, n_heard) != n_heard || !quiet_since_) quiet_since_ = now;
  if (now - *quiet_since_ < kQuiet) return false;
  quiet_since_ = now;  // with workers there, it is asked again
  const auto status = client.status(kAnswerWithin);
  said_ = status && status->workers.empty();
  return said_;
}

}  // namespace tandem::cli
