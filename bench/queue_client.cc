#include "bench/queue_client.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>
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
constexpr size_t kItemsPerFetch = 1000;
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
      use_(use),
      submit_(must(DealerSocket::connect(context_, broker.submit(), broker.client_options()))),
      results_(must(SubscriberSocket::connect(context_, broker.results_out(), broker.client_options()))) {
  if (use == Use::kSubmitsOnly) return;
  TANDEM_ASSERT(results_.subscribe("bench/"), "a topic can be listened to");
  // The subscription takes effect a moment later: until an outcome comes by, jobs go out one by one.
  do {
    submit(1);
    wait({results_}, 100ms);
    read_published();
  } while (n_outcomes_ == 0);
  // Those before it are heard of no more, or a moment later.
  while (use == Use::kListens && !outstanding_.empty()) hear();
  n_outcomes_ = n_fetched_ = 0;
}

void BenchClient::submit(size_t n_jobs) {
  read_answers();
  for (; n_jobs > kItemsPerSubmit; n_jobs -= kItemsPerSubmit) send(kItemsPerSubmit);
  send(n_jobs);
}

size_t BenchClient::hear() {
  wait({results_}, 100ms);
  read_published();
  if (n_outcomes_ == 0) read_answers();
  const auto now = std::chrono::steady_clock::now();
  if (n_outcomes_ > 0) {
    heard_at_ = now;
  } else if (now - heard_at_ > 100ms && !outstanding_.empty()) {
    heard_at_ = now;
    fetch_missing();
  }
  return std::exchange(n_outcomes_, 0);
}

Result<void> BenchClient::submit_and_wait(size_t n_jobs) {
  const size_t n_before = n_accepted_;
  for (size_t n_sent = 0; n_accepted_ - n_before < n_jobs; read_answers()) {
    while (n_sent < n_jobs && n_before + n_sent - n_accepted_ < kUnacceptedMax) {
      const size_t n_items = std::min(kItemsPerSubmit, n_jobs - n_sent);
      send(n_items);
      n_sent += n_items;
    }
    if (!wait({submit_}, 20s)) {
      return fail(ErrorCode::kTimeout, "expected jobs to be accepted, found no answer for 20 s");
    }
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
    if (use_ == Use::kListens) outstanding_.insert(item.id);
  }
  while (!submit_.send(message)) std::this_thread::yield();
}

void BenchClient::read_published() {
  while (const auto heard = results_.receive()) {
    if (!heard->message) continue;
    const ResultMessage* message = std::get_if<ResultMessage>(&*heard->message);
    if (message == nullptr) continue;
    for (const ResultItem& item : message->items) {
      TANDEM_ASSERT(item.error.text.empty() && item.payload.size() == kPayloadBytes, "a job has an answer");
      n_outcomes_ += use_ == Use::kListens ? outstanding_.erase(item.id) : 1;
    }
  }
}

void BenchClient::read_answers() {
  while (const auto heard = submit_.receive()) {
    if (*heard && std::holds_alternative<Accepted>(**heard)) {
      read(std::get<Accepted>(**heard));
    } else if (*heard && std::holds_alternative<Fetched>(**heard)) {
      read(std::get<Fetched>(**heard));
    } else {
      TANDEM_ASSERT(false, "what this client sends is not refused");
    }
  }
}

void BenchClient::read(const Accepted& accepted) {
  for (const AcceptedItem& item : accepted.items) {
    if (!item.error.text.empty()) std::fprintf(stderr, "bench: refused: %s\n", item.error.text.c_str());
    TANDEM_ASSERT(item.error.text.empty(), "the journal has room, and no limit is reached");
  }
  n_accepted_ += accepted.items.size();
}

void BenchClient::read(const Fetched& fetched) {
  for (const FetchedItem& item : fetched.items) {
    if (item.state != JobState::kDone || outstanding_.erase(item.id) == 0) continue;
    ++n_outcomes_;
    ++n_fetched_;
  }
}

void BenchClient::fetch_missing() {
  Fetch fetch;
  fetch.request = ++request_;
  for (const JobId& id : outstanding_) {
    if (fetch.ids.size() < kItemsPerFetch) fetch.ids.push_back(id);
  }
  (void)submit_.send(fetch);  // if there is no room, a moment later
}

Result<std::unique_ptr<RunningQueue>> start_tandem(const TandemOptions& options) {
  return std::make_unique<TandemQueue>(options);
}

}  // namespace tandem::bench
