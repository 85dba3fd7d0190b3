// The full life of a job per second: submitted, written down, lent, answered by a worker that does nothing,
// written down, published, heard; with 1, 256 and 1000 jobs outstanding. Broker, worker and client are three
// threads with ipc:// between them, and the journal lies in TMPDIR (which should be the disk to measure).
// Ceiling: the same facts put bare into the same kind of store, in commits as large.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "bench/report.h"
#include "broker/broker.h"
#include "broker/lmdb_journal.h"
#include "broker/ports.h"
#include "shared/base/assert.h"
#include "shared/net/sockets.h"
#include "shared/net/wait.h"
#include "shared/store/environment.h"
#include "tests/support/temp_dir.h"

namespace tandem::bench {
namespace {

using namespace std::chrono_literals;
using Seconds = std::chrono::duration<double>;

constexpr size_t kPayloadBytes = 512;
constexpr size_t kItemsPerSubmit = 256;
constexpr uint64_t kJournalBytes = 8ull << 30;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return Seconds(std::chrono::steady_clock::now() - begin).count();
}

template <typename T>
T must(Result<T> result) {
  if (!result) fmt::print(stderr, "bench_queue: {}\n", result.error().text);
  TANDEM_ASSERT(result.has_value(), "a benchmark can open what it measures");
  return std::move(*result);
}

// A broker on a thread of its own.
class BrokerThread {
 public:
  explicit BrokerThread(const testing::TempDir& folder) {
    broker::PortsConfig config;
    config.submit = "ipc://" + (folder / "submit").string();
    config.work = "ipc://" + (folder / "work").string();
    config.results_in = "ipc://" + (folder / "results-in").string();
    config.results_out = "ipc://" + (folder / "results-out").string();
    journal_ = must(broker::LmdbJournal::open({folder / "journal", kJournalBytes}));
    ports_.emplace(must(broker::Ports::open(context_, config)));
    thread_ = std::thread([this] { run(); });
  }
  ~BrokerThread() {
    stop_ = true;
    wake_.set();
    thread_.join();
  }

 private:
  void run() {
    auto recovered = must(broker::Broker::recover({}, {}, clock_, *journal_, *ports_, Log("bench.broker")));
    while (!stop_) TANDEM_ASSERT(recovered.run_turn(wake_), "the disk has room");
  }

  NetContext context_;
  SystemClock clock_;
  std::unique_ptr<broker::LmdbJournal> journal_;
  std::optional<broker::Ports> ports_;
  Wake wake_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// A worker that has the answer before it was asked.
class NullWorker {
 public:
  explicit NullWorker(const testing::TempDir& folder)
      : work_(must(DealerSocket::connect(context_, "ipc://" + (folder / "work").string()))),
        results_(must(PushSocket::connect(context_, "ipc://" + (folder / "results-in").string()))),
        thread_([this] { run(); }) {}
  ~NullWorker() {
    stop_ = true;
    wake_.set();
    thread_.join();
  }

 private:
  void run() {
    const std::string answer(kPayloadBytes, 'r');
    TANDEM_ASSERT(work_.send(Hello{"null", "host", "model", 4096, {}, {}}), "a new queue has room");
    auto next_heartbeat = std::chrono::steady_clock::now();
    while (!stop_) {
      wait({work_, wake_}, 500ms);
      ResultMessage results{"null", {}};
      while (auto heard = work_.receive()) {
        if (!*heard || !std::holds_alternative<Job>(**heard)) continue;
        for (const JobItem& item : std::get<Job>(**heard).items) {
          results.items.push_back({item.id, item.attempt, {}, false, answer});
        }
      }
      while (!results.items.empty() && !results_.send(results)) std::this_thread::yield();
      if (std::chrono::steady_clock::now() >= next_heartbeat) {
        next_heartbeat = std::chrono::steady_clock::now() + 1s;
        (void)work_.send(Heartbeat{});
      }
    }
  }

  NetContext context_;
  DealerSocket work_;
  PushSocket results_;
  Wake wake_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// Keeps a number of jobs outstanding.
class BenchClient {
 public:
  explicit BenchClient(const testing::TempDir& folder)
      : submit_(must(DealerSocket::connect(context_, "ipc://" + (folder / "submit").string()))),
        results_(must(SubscriberSocket::connect(context_, "ipc://" + (folder / "results-out").string()))) {
    TANDEM_ASSERT(results_.subscribe("bench/"), "a topic can be listened to");
    // The subscription takes effect a moment later: until a result comes by, jobs go out one by one.
    for (size_t n_heard = 0; n_heard == 0;) {
      submit(1);
      wait({results_}, 100ms);
      n_heard = hear();
    }
    wait({results_}, 200ms);
    hear();
  }

  // Jobs per second, with `n_outstanding` on their way all the time.
  double life(size_t n_outstanding, double seconds) {
    submit(n_outstanding);
    const auto begin = std::chrono::steady_clock::now();
    size_t n_done = 0;
    while (seconds_since(begin) < seconds) {
      wait({results_}, 100ms);
      const size_t n_heard = hear();
      n_done += n_heard;
      submit(n_heard);
    }
    const double rate = static_cast<double>(n_done) / seconds_since(begin);
    for (size_t n_left = n_outstanding; n_left > 0;) {
      wait({results_}, 100ms);
      n_left -= std::min(n_left, hear());
    }
    return rate;
  }

 private:
  void submit(size_t n_jobs) {
    while (submit_.receive()) {  // Accepted: nobody here waits for it
    }
    while (n_jobs > 0) {
      Submit message{++request_, "bench", {}};
      for (; n_jobs > 0 && message.items.size() < kItemsPerSubmit; --n_jobs) {
        message.items.push_back({make_job_id(), 0, 1, 0, payload_});
      }
      while (!submit_.send(message)) std::this_thread::yield();
    }
  }

  size_t hear() {
    size_t n_items = 0;
    while (auto heard = results_.receive()) {
      if (heard->message && std::holds_alternative<ResultMessage>(*heard->message)) {
        n_items += std::get<ResultMessage>(*heard->message).items.size();
      }
    }
    return n_items;
  }

  const std::string payload_ = std::string(kPayloadBytes, 'p');
  NetContext context_;
  DealerSocket submit_;
  SubscriberSocket results_;
  uint64_t request_ = 0;
};

// Facts per second into a bare store, synced, so many in each commit.
double bare_facts(size_t n_facts, double seconds) {
  const testing::TempDir folder;
  EnvironmentOptions options;
  options.map_bytes = kJournalBytes;
  auto store = must(Environment::open(folder / "store", options));
  auto table = must(store.table("facts"));
  const std::string value(kPayloadBytes + 64, 'v');
  const auto begin = std::chrono::steady_clock::now();
  uint64_t key = 0;
  while (seconds_since(begin) < seconds) {
    auto transaction = must(store.write());
    for (size_t i = 0; i < n_facts; ++i) {
      TANDEM_ASSERT(table.put_append(transaction, number_key(++key), value), "the store has room");
    }
    TANDEM_ASSERT(transaction.commit(), "the disk has room");
  }
  return static_cast<double>(key) / seconds_since(begin);
}

// Jobs per second that come back when a broker starts with them.
double replay(size_t n_jobs) {
  const testing::TempDir folder;
  auto journal = must(broker::LmdbJournal::open({folder / "journal", kJournalBytes}));
  broker::Sequence sequence = 0;
  while (sequence < n_jobs) {
    broker::FactBatch batch;
    for (int i = 0; i < 1000; ++i) {
      broker::AcceptedFact fact;
      fact.sequence = ++sequence;
      fact.id = make_job_id();
      fact.client = "bench";
      fact.payload = std::string(kPayloadBytes, 'p');
      batch.accepted.push_back(std::move(fact));
    }
    TANDEM_ASSERT(journal->commit(batch), "the disk has room");
  }
  const auto begin = std::chrono::steady_clock::now();
  broker::Dispatcher dispatcher({});
  TANDEM_ASSERT(journal->replay({[&](broker::AcceptedFact fact, size_t n_bytes) {
                                   return dispatcher.replay(std::move(fact), n_bytes);
                                 },
                                 [&](const broker::FinishedFact& fact) { return dispatcher.replay(fact); }}),
                "the facts are those just written");
  dispatcher.start(TimePoint{});
  return static_cast<double>(sequence) / seconds_since(begin);
}

void measure(bool quick, Report& report) {
  const double seconds = quick ? 0.2 : 5;
  for (const size_t n_outstanding : {1, 256, 1000}) {
    // A fresh broker for each: what one leaves behind is not the next one's business.
    double rate = 0;
    {
      const testing::TempDir folder;
      const BrokerThread broker(folder);
      const NullWorker worker(folder);
      BenchClient client(folder);
      rate = client.life(n_outstanding, seconds);
    }
    const double facts = bare_facts(n_outstanding, seconds);
    const std::string suffix = std::to_string(n_outstanding);
    report.add({"queue.life." + suffix, rate, "jobs/s", 2 * rate / facts,
                "submitted to heard, of 512 B each way; a life is two facts"});
    report.add({"ceiling.facts." + suffix, facts, "1/s", std::nullopt,
                "bare puts, " + suffix + " to a synced commit"});
  }
  report.add(
      {"queue.replay", replay(quick ? 1'000 : 200'000), "jobs/s", std::nullopt, "unfinished jobs at start"});
}

}  // namespace
}  // namespace tandem::bench

int main(int argc, char** argv) {
  CLI::App app("Jobs through the broker, per second, with a worker that does nothing");
  std::string json;
  bool quick = false;
  app.add_option("--json", json, "write the rows to this file");
  app.add_flag("--quick", quick, "a smoke run of a second or two: its figures mean nothing");
  CLI11_PARSE(app, argc, argv);

  if (auto set = tandem::set_log_level("warn"); !set) return 1;
  tandem::bench::Report report;
  tandem::bench::measure(quick, report);
  if (const auto written = report.write_json(json); !written) {
    fmt::print(stderr, "{}\n", written.error().text);
    return 1;
  }
  return 0;
}
