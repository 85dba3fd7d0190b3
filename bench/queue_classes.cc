// What a person waits while a million texts are being worked off: interactive jobs one at a time, alone and
// under a bulk load that never ends, and what the bulk load loses by them.
//
// The workers work as one that batches does: so many sequences side by side, each job a fixed time, however
// full the batch is. What is measured is the queue's part: order, credit, turns.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "bench/must.h"
#include "bench/queue_broker.h"
#include "bench/queue_parts.h"
#include "shared/base/wake.h"
#include "shared/net/sockets.h"
#include "shared/net/wait.h"
#include "shared/protocol/messages.h"
#include "tests/support/temp_dir.h"

namespace tandem::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr size_t kSequences = 16;        // of a worker, for bulk jobs
constexpr size_t kInteractiveExtra = 4;  // and for interactive ones on top
constexpr auto kJobTime = 25ms;  // a label of Qwen1.5-0.5B in a batch of 16, or a short answer's first tokens
constexpr size_t kBulkOutstanding = 2'000;
constexpr auto kInteractivePause = 15ms;

class BatchingWorker {
 public:
  BatchingWorker(const BrokerProcess& broker, std::string name)
      : name_(std::move(name)),
        work_(must(DealerSocket::connect(context_, broker.work()))),
        results_(must(PushSocket::connect(context_, broker.results_in()))),
        thread_([this] { run(); }) {}
  ~BatchingWorker() {
    stop_ = true;
    wake_.set();
    thread_.join();
  }

 private:
  struct Held {
    JobItem job;
    Clock::time_point ends;
  };

  void run() {
    Hello hello;
    hello.worker = name_;
    hello.host = "bench";
    hello.model = "batching";
    hello.credit_max = 2 * kSequences;
    hello.interactive_extra = kInteractiveExtra;
    TANDEM_ASSERT(work_.send(hello), "a queue that is hardly used has room");
    auto next_heartbeat = Clock::now();
    while (!stop_) {
      const auto now = Clock::now();
      const auto next = running_.empty() ? now + 500ms : std::min(running_.front().ends, now + 500ms);
      wait({work_, wake_}, std::max<Duration>(next - now, Duration(0)));
      hear();
      finish();
      begin();
      if (Clock::now() < next_heartbeat) continue;
      next_heartbeat = Clock::now() + 1s;
      Heartbeat heartbeat;
      for (const auto* held : {&interactive_, &bulk_}) {
        for (const JobItem& job : *held) heartbeat.held.push_back({job.id, job.attempt});
      }
      for (const Held& held : running_) heartbeat.held.push_back({held.job.id, held.job.attempt});
      (void)work_.send(heartbeat);
    }
  }

  void hear() {
    while (auto heard = work_.receive()) {
      if (!*heard || !std::holds_alternative<Job>(**heard)) continue;
      for (JobItem& item : std::get<Job>(**heard).items) {
        (item.urgency == Urgency::kInteractive ? interactive_ : bulk_).push_back(std::move(item));
      }
    }
  }

  // Every job takes the same time, so those that began first end first.
  void finish() {
    ResultMessage results{name_, {}};
    const auto now = Clock::now();
    for (; !running_.empty() && running_.front().ends <= now; running_.pop_front()) {
      const JobItem& job = running_.front().job;
      n_interactive_ -= job.urgency == Urgency::kInteractive ? 1 : 0;
      results.items.push_back({job.id, job.attempt, {}, false, answers_.next()});
    }
    while (!results.items.empty() && !results_.send(results)) std::this_thread::yield();
  }

  void begin() {
    const auto ends = Clock::now() + kJobTime;
    const auto start = [&](std::deque<JobItem>& from) {
      running_.push_back({std::move(from.front()), ends});
      from.pop_front();
    };
    for (; !interactive_.empty() && n_interactive_ < kInteractiveExtra; ++n_interactive_) start(interactive_);
    while (!bulk_.empty() && running_.size() - n_interactive_ < kSequences) start(bulk_);
  }

  const std::string name_;
  Payloads answers_;
  NetContext context_;
  DealerSocket work_;
  PushSocket results_;
  std::deque<JobItem> interactive_, bulk_;
  std::deque<Held> running_;
  size_t n_interactive_ = 0;  // of those running
  Wake wake_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// A client with one sort of jobs.
class ClassClient {
 public:
  ClassClient(const BrokerProcess& broker, std::string name, Urgency urgency)
      : name_(std::move(name)),
        urgency_(urgency),
        submit_(must(DealerSocket::connect(context_, broker.submit()))),
        results_(must(SubscriberSocket::connect(context_, broker.results_out()))) {
    TANDEM_ASSERT(results_.subscribe(name_ + "/"), "a topic can be listened to");
    for (size_t n = 0; n == 0;) {  // until the subscription holds
      submit(1);
      n = hear(200ms);
    }
    while (hear(200ms) > 0) {
    }
  }

  void submit(size_t n_jobs) {
    while (submit_.receive()) {  // Accepted: nobody here waits for it
    }
    while (n_jobs > 0) {
      Submit message{++request_, name_, {}};
      for (; n_jobs > 0 && message.items.size() < 256; --n_jobs) {
        SubmitItem& item = message.items.emplace_back();
        item.id = make_job_id();
        item.payload = name_ + payloads_.next();
        item.urgency = urgency_;
      }
      while (!submit_.send(message)) std::this_thread::yield();
    }
  }
  size_t hear(Duration at_most) {
    wait({results_}, at_most);
    size_t n_items = 0;
    while (auto heard = results_.receive()) {
      if (!heard->message || !std::holds_alternative<ResultMessage>(*heard->message)) continue;
      n_items += std::get<ResultMessage>(*heard->message).items.size();
    }
    return n_items;
  }

 private:
  const std::string name_;
  const Urgency urgency_;
  Payloads payloads_;
  NetContext context_;
  DealerSocket submit_;
  SubscriberSocket results_;
  uint64_t request_ = 0;
};

// Keeps the backlog deep, on a thread of its own.
class BulkLoad {
 public:
  explicit BulkLoad(const BrokerProcess& broker) : thread_([this, &broker] { run(broker); }) {}
  ~BulkLoad() {
    stop_ = true;
    thread_.join();
  }
  size_t n_done() const { return n_done_; }

 private:
  void run(const BrokerProcess& broker) {
    ClassClient client(broker, "bulk", Urgency::kBulk);
    client.submit(kBulkOutstanding);
    while (!stop_) {
      const size_t n_heard = client.hear(100ms);
      n_done_ += n_heard;
      client.submit(n_heard);
    }
  }
  std::atomic<size_t> n_done_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// Of interactive jobs one after the other, with a pause between them; microseconds, sorted.
std::vector<double> latencies(ClassClient& client, Seconds time) {
  std::vector<double> times;
  for (const auto begin = Clock::now(); seconds_since(begin) < time.count();) {
    const auto submitted = Clock::now();
    client.submit(1);
    while (client.hear(1s) == 0) {
    }
    times.push_back(1e6 * seconds_since(submitted));
    std::this_thread::sleep_for(kInteractivePause);
  }
  std::sort(times.begin(), times.end());
  return times;
}

double p50(const std::vector<double>& sorted) {
  return sorted[sorted.size() / 2];
}
double p99(const std::vector<double>& sorted) {
  return sorted[sorted.size() * 99 / 100];
}

double rate(const BulkLoad& load, Seconds time) {
  const size_t n_before = load.n_done();
  const auto begin = Clock::now();
  std::this_thread::sleep_for(time);
  return static_cast<double>(load.n_done() - n_before) / seconds_since(begin);
}

}  // namespace

Result<void> measure_classes(const QueueOptions& options, Report& report) {
  const Seconds time = 5 * options.seconds;
  const testing::TempDir folder;
  BrokerOptions broker_options;
  broker_options.folder = folder.path();
  TANDEM_ASSIGN(const BrokerProcess broker, BrokerProcess::start(broker_options));
  const BatchingWorker first(broker, "batching-1"), second(broker, "batching-2");
  ClassClient person(broker, "person", Urgency::kInteractive);

  const std::vector<double> idle = latencies(person, time);
  BulkLoad load(broker);
  (void)rate(load, time / 5);  // until it is in full flow
  const double bulk_alone = rate(load, time);
  const size_t n_before = load.n_done();
  const auto begin = Clock::now();
  const std::vector<double> loaded = latencies(person, time);
  const double bulk_beside = static_cast<double>(load.n_done() - n_before) / seconds_since(begin);

  report.add({"queue.interactive.idle", p99(idle), "us", std::nullopt,
              fmt::format("p99, nothing else to do; p50 {:.0f}", p50(idle))});
  report.add({"queue.interactive.loaded", p99(loaded), "us", std::nullopt,
              fmt::format("p99, behind a bulk backlog; p50 {:.0f}", p50(loaded))});
  report.add(
      {"queue.interactive.kept", p99(idle) / p99(loaded), "x", std::nullopt, "the one over the other"});
  report.add(
      {"queue.bulk.alone", bulk_alone, "jobs/s", std::nullopt, "2 workers, 16 sequences of 25 ms each"});
  report.add({"queue.bulk.beside", bulk_beside, "jobs/s", bulk_beside / bulk_alone,
              "beside interactive jobs; of its rate alone"});
  return {};
}

}  // namespace tandem::bench
