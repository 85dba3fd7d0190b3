#include <atomic>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "bench/must.h"
#include "bench/queue_peers.h"
#include "bench/redis_connection.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace tandem::bench {
namespace {

using namespace std::chrono_literals;

RedisConnection connect(const std::filesystem::path& socket) {
  return RedisConnection(must(ByteStream::connect_unix(socket, 10s)));
}

// Entries of the one stream that was read: its name, then id, field and value of each.
size_t count_entries(const RedisReply& reply) {
  return reply.leaves.empty() ? 0 : (reply.leaves.size() - 1) / 3;
}

// Its results, its acknowledgement and the question for more go out in one piece.
class RedisWorker {
 public:
  RedisWorker(const std::filesystem::path& socket, std::string name)
      : name_(std::move(name)), redis_(connect(socket)), thread_([this] { run(); }) {}
  ~RedisWorker() {
    stop_ = true;
    thread_.join();
  }

 private:
  void run() {
    RedisReply reply;
    while (!stop_) {
      redis_.add(
          {"XREADGROUP", "GROUP", "workers", name_, "COUNT", "512", "BLOCK", "100", "STREAMS", "jobs", ">"});
      redis_.flush();
      for (; n_unread_ > 0; --n_unread_) TANDEM_ASSERT(redis_.receive(reply, 20s), "results are stored");
      TANDEM_ASSERT(redis_.receive(reply, 20s), "an empty stream is answered after 100 ms");
      const size_t n_jobs = count_entries(reply);
      if (n_jobs == 0) continue;
      std::vector<std::string_view> acknowledge = {"XACK", "jobs", "workers"};
      for (size_t i = 0; i < n_jobs; ++i) {
        const std::string_view id = reply.leaves[1 + 3 * i];
        redis_.add({"XADD", "results", "*", id, answers_.next()});
        acknowledge.push_back(id);
      }
      redis_.add(acknowledge);
      n_unread_ = n_jobs + 1;
    }
  }

  const std::string name_;
  Payloads answers_;
  RedisConnection redis_;
  size_t n_unread_ = 0;  // replies to what was sent before the question
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class RedisQueue final : public RunningQueue {
 public:
  explicit RedisQueue(const std::filesystem::path& program)
      : server_(arguments(program), {{}, {}, folder_.path()}),
        submit_(connect(folder_ / "redis")),
        hear_(connect(folder_ / "redis")) {
    submit_.run({"XGROUP", "CREATE", "jobs", "workers", "$", "MKSTREAM"});
    first_.emplace(folder_ / "redis", "null-1");
    second_.emplace(folder_ / "redis", "null-2");
  }

  void submit(size_t n_jobs) override {
    for (RedisReply accepted; n_unaccepted_ > 0 && submit_.receive(accepted, 0ms);) --n_unaccepted_;
    for (size_t i = 0; i < n_jobs; ++i) submit_.add({"XADD", "jobs", "*", "job", payloads_.next()});
    submit_.flush();
    n_unaccepted_ += n_jobs;
  }

  size_t hear() override {
    if (!asked_) {
      hear_.add({"XREAD", "COUNT", "1000", "BLOCK", "100", "STREAMS", "results", last_heard_});
      hear_.flush();
    }
    RedisReply reply;
    asked_ = !hear_.receive(reply, 200ms);
    const size_t n_entries = asked_ ? 0 : count_entries(reply);
    if (n_entries > 0) last_heard_ = reply.leaves[reply.leaves.size() - 3];
    return n_entries;
  }

  pid_t server() const override { return server_.pid(); }

 private:
  // Snapshots and rewriting are off: only the log of what must not be lost is written.
  std::vector<std::string> arguments(const std::filesystem::path& program) const {
    return {program.string(),
            "--port",
            "0",
            "--unixsocket",
            (folder_ / "redis").string(),
            "--dir",
            folder_.path().string(),
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
            "--auto-aof-rewrite-percentage",
            "0"};
  }

  testing::TempDir folder_;
  testing::Process server_;
  RedisConnection submit_, hear_;
  Payloads payloads_;
  size_t n_unaccepted_ = 0;
  bool asked_ = false;
  std::string last_heard_ = "0";
  std::optional<RedisWorker> first_, second_;
};

}  // namespace

Result<std::unique_ptr<RunningQueue>> start_redis() {
  const std::filesystem::path program = find_program("redis-server");
  if (program.empty()) return fail(ErrorCode::kNotFound, "redis-server is not installed");
  return std::make_unique<RedisQueue>(program);
}

}  // namespace tandem::bench
