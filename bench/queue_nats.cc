#include <atomic>
#include <deque>
#include <optional>
#include <string>
#include <thread>

#include "bench/must.h"
#include "bench/nats_connection.h"
#include "bench/queue_peers.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace tandem::bench {
namespace {

using namespace std::chrono_literals;
constexpr size_t kJobsPerPull = 512;
constexpr char kJob = 'j', kStored = 's', kResult = 'r';

// A job is acknowledged when the stream says that its result is stored, which it says in order.
class NatsWorker {
 public:
  NatsWorker(uint16_t port, const std::string& name)
      : jobs_(name + ".jobs"),
        stored_(name + ".stored"),
        nats_(must(NatsConnection::connect(port))),
        thread_([this] { run(); }) {}
  ~NatsWorker() {
    stop_ = true;
    thread_.join();
  }

 private:
  void run() {
    nats_.subscribe(jobs_, kJob);
    nats_.subscribe(stored_, kStored);
    NatsMessage message;
    while (!stop_) {
      // The next are asked for when half are still to come, so that the worker does not run dry.
      if (n_asked_ <= kJobsPerPull / 2) {
        nats_.publish("$JS.API.CONSUMER.MSG.NEXT.JOBS.workers", jobs_,
                      "{\"batch\":" + std::to_string(kJobsPerPull) + "}");
        n_asked_ += kJobsPerPull;
      }
      nats_.flush();
      if (!nats_.receive(message, 100ms)) continue;
      do hear(message);
      while (n_asked_ > kJobsPerPull / 2 && nats_.receive(message, 0ms));
    }
  }

  void hear(const NatsMessage& message) {
    if (message.subscription == kStored) {
      TANDEM_ASSERT(message.payload.find("\"error\"") == std::string_view::npos, "the disk has room");
      nats_.publish(unacknowledged_.front(), "", "");
      unacknowledged_.pop_front();
    } else if (message.status) {
      n_asked_ = 0;  // the question has ended
    } else {
      --n_asked_;
      nats_.publish("results", stored_, answers_.next());
      unacknowledged_.emplace_back(message.reply_to);
    }
  }

  const std::string jobs_, stored_;  // where it listens
  Payloads answers_;
  NatsConnection nats_;
  size_t n_asked_ = 0;
  std::deque<std::string> unacknowledged_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class NatsQueue final : public RunningQueue {
 public:
  explicit NatsQueue(const std::filesystem::path& program)
      : port_(free_port()),
        server_({program.string(), "-a", "127.0.0.1", "-p", std::to_string(port_), "-js", "-sd",
                 folder_.path().string()},
                {{}, {}, folder_.path()}),
        nats_(must(NatsConnection::connect(port_))) {
    nats_.ask("$JS.API.STREAM.CREATE.JOBS", R"({"name":"JOBS","subjects":["jobs"],"storage":"file"})");
    nats_.ask("$JS.API.STREAM.CREATE.RESULTS",
              R"({"name":"RESULTS","subjects":["results"],"storage":"file"})");
    nats_.ask("$JS.API.CONSUMER.DURABLE.CREATE.JOBS.workers",
              R"({"stream_name":"JOBS","config":{"durable_name":"workers","deliver_policy":"all",)"
              R"("ack_policy":"explicit","ack_wait":30000000000,"max_ack_pending":20000}})");
    nats_.ask("$JS.API.CONSUMER.DURABLE.CREATE.RESULTS.producer",
              R"({"stream_name":"RESULTS","config":{"durable_name":"producer","deliver_policy":"all",)"
              R"("ack_policy":"none","deliver_subject":"heard"}})");
    nats_.subscribe("accepted", kStored);
    nats_.subscribe("heard", kResult);
    first_.emplace(port_, "null-1");
    second_.emplace(port_, "null-2");
  }

  void submit(size_t n_jobs) override {
    for (size_t i = 0; i < n_jobs; ++i) nats_.publish("jobs", "accepted", payloads_.next());
    nats_.flush();
  }

  size_t hear() override {
    size_t n_results = 0;
    NatsMessage message;
    for (auto at_most = 100ms; nats_.receive(message, at_most);) {
      n_results += message.subscription == kResult;
      // Acceptances alone are nothing to come back with: they would look like outcomes that do not come.
      if (n_results > 0) at_most = 0ms;
    }
    return n_results;
  }

  pid_t server() const override { return server_.pid(); }

 private:
  testing::TempDir folder_;
  uint16_t port_;
  testing::Process server_;
  NatsConnection nats_;
  Payloads payloads_;
  std::optional<NatsWorker> first_, second_;
};

}  // namespace

Result<std::unique_ptr<RunningQueue>> start_nats() {
  const std::filesystem::path program = find_program("nats-server");
  if (program.empty()) return fail(ErrorCode::kNotFound, "nats-server is not installed");
  return std::make_unique<NatsQueue>(program);
}

}  // namespace tandem::bench
