// Hears everything that a broker publishes, for as long as it lives: what was published must be what can be
// fetched, and nothing may be published twice with different bytes.

#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "shared/net/context.h"
#include "shared/net/sockets.h"

namespace tandem::testing {

class Witness {
 public:
  Witness(const std::string& results_endpoint, const std::optional<ClientKeys>& keys);
  ~Witness();
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  // What was heard since the last call: a job's outcomes as words (record.h).
  std::map<JobId, std::set<std::string>> take();

 private:
  void listen(SubscriberSocket socket);

  NetContext context_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::map<JobId, std::set<std::string>> heard_;
  std::thread thread_;
};

}  // namespace tandem::testing
