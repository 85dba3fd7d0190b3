#include "bench/queue_client.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <variant>

#include "bench/must.h"
#include "bench/queue_worker.h"
#include "shared/net/wait.h"
#include "shared/protocol/messages.h"
#include "tests/support/temp_dir.h"

namespace tandem::bench {
namespace {

using namespace std::chrono_literals;
constexpr size_t kItemsPerSubmit = 256;
constexpr size_t kUnacceptedMax = 32 * kItemsPerSubmit;

// The members stand in the order in which they are needed, so they end in the opposite one.
class TandemQueue final : public RunningQueue {
 public:
  explicit TandemQueue(const TandemOptions& options)
      : broker_(must(BrokerProcess::start({folder_.path(), options.transport}))) {}

  void submit(size_t n_jobs) override { client_.submit(n_jobs); }
  size_t hear() override { return client_.hear(); }
  pid_t server() const override { return broker_.pid(); }

 private:
  testing::TempDir folder_;
  BrokerProcess broker_;
  NullWorker first_{broker_, "null-1"};
  NullWorker second_{broker_, "null-2"};
  BenchClient client_{broker_};
};

}  // namespace

BenchClient::BenchClient(const BrokerProcess& broker, Use use)
    : broker_(&broker),
      submit_(must(DealerSocket::connect(context_, broker.submit(), broker.socket_options()))),
      results_(must(SubscriberSocket::connect(context_, broker.results_out(), broker.socket_options()))) {
  if (use == Use::kSubmitsOnly) return;
  TANDEM_ASSERT(results_.subscribe("bench/"), "a topic can be listened to");
  // The subscription takes effect a moment later: until an outcome comes by, jobs go out one by one.
  do {
    submit(1);
  } while (hear() == 0);
  while (use == Use::kListens && hear() > 0) {
  }
}

void BenchClient::submit(size_t n_jobs) {
  read_accepted();
  for (; n_jobs > kItemsPerSubmit; n_jobs -= kItemsPerSubmit) send(kItemsPerSubmit);
  send(n_jobs);
}

size_t BenchClient::hear() {
  wait({results_}, 100ms);
  size_t n_items = 0;
  while (const auto heard = results_.receive()) {
    if (!heard->message) continue;
    const ResultMessage* message = std::get_if<ResultMessage>(&*heard->message);
    if (message == nullptr) continue;
    for (const ResultItem& item : message->items) {
      TANDEM_ASSERT(item.error.text.empty() && item.payload.size() == kPayloadBytes,
                    "every job has an answer");
    }
    n_items += message->items.size();
  }
  return n_items;
}

Result<void> BenchClient::submit_and_wait(size_t n_jobs) {
  size_t n_sent = 0, n_accepted = 0;
  while (n_accepted < n_jobs) {
    while (n_sent < n_jobs && n_sent - n_accepted < kUnacceptedMax) {
      const size_t n_items = std::min(kItemsPerSubmit, n_jobs - n_sent);
      send(n_items);
      n_sent += n_items;
    }
    if (!wait({submit_}, 20s)) {
      return fail(ErrorCode::kTimeout, "expected jobs to be accepted, found no answer for 20 s");
    }
    n_accepted += read_accepted();
  }
  return {};
}

void BenchClient::send(size_t n_jobs) {
  Submit message;
  message.request = ++request_;
  message.client = "bench";
  message.items.reserve(n_jobs);
  for (size_t i = 0; i < n_jobs; ++i) {
    SubmitItem& item = message.items.emplace_back();
    item.id = make_job_id();
    item.payload = payloads_.next();
  }
  while (!submit_.send(message)) std::this_thread::yield();
}

size_t BenchClient::read_accepted() {
  size_t n_items = 0;
  while (const auto heard = submit_.receive()) {
    TANDEM_ASSERT(*heard && std::holds_alternative<Accepted>(**heard), "jobs are accepted");
    for (const AcceptedItem& item : std::get<Accepted>(**heard).items) {
      if (!item.error.text.empty()) std::fprintf(stderr, "bench: refused: %s\n", item.error.text.c_str());
      TANDEM_ASSERT(item.error.text.empty(), "the journal has room, and no limit is reached");
      ++n_items;
    }
  }
  return n_items;
}

Result<std::unique_ptr<RunningQueue>> start_tandem(const TandemOptions& options) {
  return std::make_unique<TandemQueue>(options);
}

}  // namespace tandem::bench
