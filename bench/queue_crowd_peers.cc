#include "bench/queue_crowd_peers.h"

#include <variant>

#include "bench/must.h"
#include "shared/net/wait.h"
#include "shared/protocol/messages.h"

namespace tandem::bench {
namespace {

using namespace std::chrono_literals;
constexpr std::chrono::nanoseconds kBeat = 2s;  // divided by the number of peers

class CrowdWorker final : public CrowdPeer {
 public:
  CrowdWorker(NetContext& context, const BrokerProcess& broker, std::string name, uint32_t credit)
      : name_(std::move(name)),
        credit_(credit),
        work_(must(DealerSocket::connect(context, broker.work(), broker.worker_options()))),
        results_(must(PushSocket::connect(context, broker.results_in(), broker.worker_options()))) {}

  Socket& socket() override { return work_; }
  void say_hello() override {
    Hello hello;
    hello.worker = name_;
    hello.host = "crowd";
    hello.model = "null";
    hello.credit_max = credit_;
    TANDEM_ASSERT(work_.send(hello), "a queue that is hardly used has room");
  }
  void beat() override { (void)work_.send(Heartbeat{}); }  // what was lent is answered
  size_t hear() override {
    size_t n_messages = 0;
    for (; const auto heard = work_.receive(); ++n_messages) {
      if (!*heard) continue;
      answered_ = answered_ || std::holds_alternative<Welcome>(**heard);
      if (std::holds_alternative<WhoAreYou>(**heard)) say_hello();
      if (const Job* job = std::get_if<Job>(&**heard)) answer(*job);
    }
    return n_messages;
  }
  bool was_answered() const override { return answered_; }

 private:
  void answer(const Job& job) {
    ResultMessage results;
    results.worker = name_;
    for (const JobItem& item : job.items) {
      ResultItem& result = results.items.emplace_back();
      result.id = item.id;
      result.attempt = item.attempt;
      result.payload = answers_.next();
    }
    while (!results_.send(results)) std::this_thread::yield();
  }

  const std::string name_;
  const uint32_t credit_;
  Payloads answers_;
  DealerSocket work_;
  PushSocket results_;
  bool answered_ = false;
};

class CrowdClient final : public CrowdPeer {
 public:
  CrowdClient(NetContext& context, const BrokerProcess& broker, const std::string& name)
      : submit_(must(DealerSocket::connect(context, broker.submit(), broker.client_options()))),
        results_(must(SubscriberSocket::connect(context, broker.results_out(), broker.client_options()))) {
    TANDEM_ASSERT(results_.subscribe(name + "/"), "a topic can be listened to");
  }

  Socket& socket() override { return submit_; }
  void say_hello() override { beat(); }
  void beat() override {
    Fetch fetch;
    fetch.request = ++request_;
    fetch.ids.push_back(make_job_id());
    (void)submit_.send(fetch);
  }
  size_t hear() override {
    size_t n_messages = 0;
    for (; const auto heard = submit_.receive(); ++n_messages) answered_ = true;
    return n_messages;
  }
  bool was_answered() const override { return answered_; }

 private:
  DealerSocket submit_;
  SubscriberSocket results_;
  uint64_t request_ = 0;
  bool answered_ = false;
};

}  // namespace

std::unique_ptr<CrowdPeer> make_crowd_worker(NetContext& context, const BrokerProcess& broker,
                                             std::string name, uint32_t credit) {
  return std::make_unique<CrowdWorker>(context, broker, std::move(name), credit);
}

std::unique_ptr<CrowdPeer> make_crowd_client(NetContext& context, const BrokerProcess& broker,
                                             const std::string& name) {
  return std::make_unique<CrowdClient>(context, broker, name);
}

Crowd::Crowd(const BrokerProcess& broker, Kind kind, size_t first, size_t n_peers, uint32_t credit) {
  for (size_t i = first; i < first + n_peers; ++i) {
    const std::string name = "crowd-" + std::to_string(i);
    peers_.push_back(kind == Kind::kWorkers ? make_crowd_worker(context_, broker, name, credit)
                                            : make_crowd_client(context_, broker, name));
  }
  const bool is_idle = kind == Kind::kClients || credit == 0;
  thread_ = std::thread([this, is_idle] { run(is_idle); });
}

Crowd::~Crowd() {
  stop_ = true;
  wake_.set();
  thread_.join();
}

Result<void> Crowd::wait_until_there(std::chrono::seconds at_most) const {
  const auto until = std::chrono::steady_clock::now() + at_most;
  while (n_answered_ < peers_.size()) {
    if (std::chrono::steady_clock::now() > until) {
      return fail(ErrorCode::kTimeout, "expected " + std::to_string(peers_.size()) +
                                           " of a crowd to be answered by the broker, found " +
                                           std::to_string(n_answered_));
    }
    std::this_thread::sleep_for(10ms);
  }
  return {};
}

// Beats are spread over the two seconds, as those of programs that were started by people would be. Peers
// that only are there are looked after now and then: waiting for a thousand sockets at once costs the cores
// that are measured more than the peers themselves would.
void Crowd::run(bool is_idle) {
  std::vector<Waitable> what = {wake_};
  for (const auto& peer : peers_) {
    what.emplace_back(peer->socket());
    peer->say_hello();
  }
  auto next_beat = std::chrono::steady_clock::now();
  for (size_t who = 0; !stop_;) {
    size_t n_messages = 0, n_answered = 0;
    for (const auto& peer : peers_) {
      n_messages += peer->hear();
      n_answered += peer->was_answered();
    }
    n_answered_ = n_answered;
    for (; std::chrono::steady_clock::now() >= next_beat; next_beat += kBeat / peers_.size()) {
      peers_[who++ % peers_.size()]->beat();
    }
    if (is_idle) {
      std::this_thread::sleep_for(20ms);
    } else if (n_messages == 0) {
      wait(what, 50ms);
    }
  }
}

}  // namespace tandem::bench
