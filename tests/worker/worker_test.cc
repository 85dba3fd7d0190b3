// The whole worker, all its threads, with the tiny model and a broker that the test plays.

#include "worker/worker.h"

#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <zmq.hpp>

#include "shared/net/sockets.h"
#include "shared/net/wait.h"
#include "shared/protocol/job.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/worker/support/tiny_model.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using ::testing::SizeIs;
using testing::TempDir;

// The tiny model, two tasks, sockets in the folder.
WorkerConfig config_in(const TempDir& folder) {
  const std::string head =
      "version = 1\ndescription = \"for tests\"\n[prompt]\nuser = \"{text}\"\n[answer]\n";
  std::filesystem::create_directories(folder / "tasks");
  std::ofstream(folder / "tasks/reply.toml") << head << "kind = \"text\"\n[decode]\ntokens_max = 16\n";
  std::ofstream(folder / "tasks/mood.toml") << head << R"(kind = "label"
method = "score"
labels = [{ id = "good", say = "Good", display = "Good" }, { id = "bad", say = "Bad", display = "Bad" }]
)";

  WorkerConfig config;
  config.name = "ann";
  config.work_endpoint = "ipc://" + (folder / "work").string();
  config.results_endpoint = "ipc://" + (folder / "results").string();
  config.model = testing::kTinyModel;
  config.tasks = folder / "tasks";
  config.cache_folder = folder / "answers";
  config.cache_bytes = 16u << 20;
  config.kv_bytes = 8u << 20;
  config.threads = 1;
  return config;
}

TEST(WorkerTest, AnswersWhatItIsLentAndLeavesWhenAsked) {
  const TempDir folder;
  const WorkerConfig config = config_in(folder);

  NetContext net;
  auto work = RouterSocket::bind(net, config.work_endpoint);
  auto results = PullSocket::bind(net, config.results_endpoint);
  ASSERT_TRUE(work && results);

  StopSignal stop;
  const SystemClock clock;
  std::string ready;
  Result<void> ran;
  std::thread worker(
      [&] { ran = run_worker(config, clock, stop, [&](const std::string& facts) { ready = facts; }); });

  constexpr size_t kJobs = 40;  // with some that are equal, which run once or come from the cache
  Job jobs{.lease_ms = 60'000, .items = {}};
  for (size_t i = 0; i < kJobs; ++i) {
    JobRequest request;
    request.text = "text number " + std::to_string(i % 30);
    request.tasks = {"mood", "reply"};
    request.stream = i % 2 == 0;
    jobs.items.push_back({make_job_id(), 1, encode(request)});
  }

  std::map<JobId, JobResult> done;
  size_t n_early_labels = 0;
  bool said_goodbye = false;
  const TimePoint until = clock.now() + 60s;
  while (!said_goodbye && clock.now() < until) {
    wait({*work, *results}, 100ms);
    while (auto received = work->receive()) {
      ASSERT_TRUE(received->message) << received->message.error().text;
      if (const auto* hello = std::get_if<Hello>(&*received->message)) {
        EXPECT_GT(hello->credit_max, 0u);
        EXPECT_EQ(hello->interactive_extra, std::max(hello->credit_max / 4, 1u));
        EXPECT_GT(hello->cost_max, 0u);
        EXPECT_TRUE(work->send(received->peer, Welcome{.lease_ms = 60'000, .heartbeat_ms = 1000}));
        EXPECT_TRUE(work->send(received->peer, jobs));
      }
      said_goodbye |= std::holds_alternative<Goodbye>(*received->message);
    }
    while (auto received = results->receive()) {
      ASSERT_TRUE(*received) << received->error().text;
      if (const auto* parts = std::get_if<Partial>(&**received)) {
        for (const PartialItem& item : parts->items) {
          const auto part = decode_job_part(item.payload);
          ASSERT_TRUE(part);
          n_early_labels += part->result && part->result->label && !done.contains(item.id);
        }
        continue;
      }
      for (const ResultItem& item : std::get<ResultMessage>(**received).items) {
        auto result = decode_job_result(item.payload);
        ASSERT_TRUE(result);
        done.emplace(item.id, std::move(*result));
      }
      if (done.size() == kJobs) ::raise(SIGTERM);
    }
  }
  worker.join();

  EXPECT_TRUE(said_goodbye);
  EXPECT_TRUE(ran) << ran.error().text;
  EXPECT_THAT(ready, ::testing::HasSubstr("worker=ann"));
  ASSERT_THAT(done, SizeIs(kJobs));
  EXPECT_EQ(n_early_labels, kJobs) << "each label is out before its reply";
  for (const auto& [id, result] : done) {
    ASSERT_THAT(result.tasks, SizeIs(2));
    EXPECT_TRUE(result.tasks[0].label);
    EXPECT_TRUE(result.tasks[1].text);
  }
  // Equal questions, equal answers, however they were batched or shared.
  for (size_t i = 30; i < kJobs; ++i) {
    EXPECT_EQ(done[jobs.items[i].id].tasks[1].text, done[jobs.items[i - 30].id].tasks[1].text);
  }
}

// Much more than it can run at a time; half is asked back, and then it is told to end.
TEST(WorkerTest, GivesBackWhatItDidNotBeginAndFinishesTheRest) {
  const TempDir folder;
  WorkerConfig config = config_in(folder);
  config.sequences_max = 1;
  config.cache = false;
  NetContext net;
  auto work = RouterSocket::bind(net, config.work_endpoint);
  auto results = PullSocket::bind(net, config.results_endpoint);
  ASSERT_TRUE(work && results);
  StopSignal stop;
  const SystemClock clock;
  Result<void> ran;
  std::thread worker([&] { ran = run_worker(config, clock, stop, [](const std::string&) {}); });

  constexpr size_t kJobs = 100;
  Job jobs{.lease_ms = 60'000, .items = {}};
  Recall recall;
  for (size_t i = 0; i < kJobs; ++i) {
    JobRequest request;
    request.text = "text number " + std::to_string(i);
    request.tasks = {"mood", "reply"};
    jobs.items.push_back({make_job_id(), 1, encode(request)});
    if (i % 2 == 1) recall.ids.push_back(jobs.items.back().id);
  }
  std::map<JobId, int> done, returned;
  bool said_goodbye = false, asked_to_stop = false;
  const TimePoint until = clock.now() + 60s;
  while (!said_goodbye && clock.now() < until) {
    wait({*work, *results}, 100ms);
    while (auto received = work->receive()) {
      ASSERT_TRUE(received->message) << received->message.error().text;
      if (std::holds_alternative<Hello>(*received->message)) {
        EXPECT_TRUE(work->send(received->peer, Welcome{.lease_ms = 60'000, .heartbeat_ms = 1000}));
        EXPECT_TRUE(work->send(received->peer, jobs));
        EXPECT_TRUE(work->send(received->peer, recall));
      } else if (const auto* back = std::get_if<Returned>(&*received->message)) {
        for (const HeldLease& lease : back->held) ++returned[lease.id];
        if (!asked_to_stop) ::raise(SIGTERM);
        asked_to_stop = true;
      }
      said_goodbye |= std::holds_alternative<Goodbye>(*received->message);
    }
    while (auto received = results->receive()) {
      ASSERT_TRUE(*received) << received->error().text;
      const auto* finished = std::get_if<ResultMessage>(&**received);
      if (finished == nullptr) continue;
      for (const ResultItem& item : finished->items) ++done[item.id];
    }
  }
  worker.join();
  EXPECT_TRUE(said_goodbye);
  EXPECT_TRUE(ran) << ran.error().text;
  // The last results may still be on their way: another socket than Goodbye.
  while (done.size() + returned.size() < kJobs && wait({*results}, 10s)) {
    while (auto received = results->receive()) {
      if (const auto* finished = std::get_if<ResultMessage>(&**received)) {
        for (const ResultItem& item : finished->items) ++done[item.id];
      }
    }
  }
  EXPECT_FALSE(returned.empty());
  for (const JobItem& job : jobs.items) EXPECT_EQ(done[job.id] + returned[job.id], 1);
}

// The program itself. A broker of version 1 writes its own version over the refusal, later ones write ours.
TEST(WorkerTest, EndsWithAnErrorWhenTheBrokerSpeaksAnotherVersion) {
  for (const uint8_t version : {1, 2}) {
    const TempDir folder;
    const WorkerConfig config = config_in(folder);
    zmq::context_t context;
    zmq::socket_t broker(context, zmq::socket_type::router);
    broker.set(zmq::sockopt::linger, 0);
    broker.set(zmq::sockopt::rcvtimeo, 60'000);
    broker.bind(config.work_endpoint);

    testing::Process worker({"tandem-worker", "--model", config.model.string(), "--work",
                             config.work_endpoint, "--results", config.results_endpoint, "--set",
                             "tasks.folder=" + config.tasks.string(), "--set", "cache.enabled=false", "--set",
                             "engine.kv_bytes=8MiB", "--set", "engine.threads=1", "--set",
                             "engine.packed_folder="});
    zmq::message_t peer, head;
    ASSERT_TRUE(broker.recv(peer) && broker.recv(head)) << worker.err();
    EXPECT_EQ(head.to_string(), "\x02\x11") << "Hello";
    const Frames frames =
        encode(Refused{0, {ErrorCode::kUnsupported, "expected protocol version 7, found 2"}}, version);
    broker.send(peer, zmq::send_flags::sndmore);
    for (const std::string* frame : {&frames.head, &frames.envelope}) {
      broker.send(zmq::buffer(*frame), zmq::send_flags::sndmore);
    }
    broker.send(zmq::buffer(frames.payload), zmq::send_flags::none);
    EXPECT_EQ(worker.wait(), 1);
    EXPECT_THAT(worker.err(), ::testing::HasSubstr("does not understand protocol version 2"));
    EXPECT_THAT(worker.err(), ::testing::HasSubstr("expected protocol version 7, found 2"));
  }
}

TEST(WorkerTest, SaysWhatIsMissingInsteadOfStarting) {
  const TempDir folder;
  WorkerConfig config;
  config.name = "ann";
  config.tasks = folder.path();
  config.model = folder / "no-model";
  StopSignal stop;
  const auto ran = run_worker(config, SystemClock(), stop, [](const std::string&) {});
  ASSERT_FALSE(ran);
  EXPECT_THAT(ran.error().text, ::testing::HasSubstr(folder.path().string()));
}

}  // namespace
}  // namespace tandem
