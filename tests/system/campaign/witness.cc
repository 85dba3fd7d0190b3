#include "tests/system/campaign/witness.h"

#include "shared/base/assert.h"
#include "shared/net/wait.h"
#include "tests/system/campaign/record.h"

namespace tandem::testing {

Witness::Witness(const std::string& results_endpoint, const std::optional<ClientKeys>& keys) {
  SocketOptions options;
  options.queue_max = 100'000;
  options.client_keys = keys;
  auto socket = SubscriberSocket::connect(context_, results_endpoint, options);
  TANDEM_ASSERT(socket && socket->subscribe(""), "an admin may hear everything");
  thread_ = std::thread([this, moved = std::move(*socket)]() mutable { listen(std::move(moved)); });
}

Witness::~Witness() {
  stop_ = true;
  thread_.join();
}

std::map<JobId, std::set<std::string>> Witness::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(heard_, {});
}

void Witness::listen(SubscriberSocket socket) {
  while (!stop_) {
    wait({socket}, milliseconds(50));
    while (auto published = socket.receive()) {
      if (!published->message) continue;
      const auto* results = std::get_if<ResultMessage>(&*published->message);
      if (results == nullptr) continue;
      const std::lock_guard lock(mutex_);
      for (const ResultItem& item : results->items) {
        const Result<JobResult> outcome =
            item.error.text.empty() ? decode_job_result(item.payload.view()) : fail(item.error);
        heard_[item.id].insert(outcome_word(outcome));
      }
    }
  }
}

}  // namespace tandem::testing
