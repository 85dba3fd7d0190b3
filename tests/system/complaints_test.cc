// What users of other queues complained of, as stories with real processes.

#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "shared/net/sockets.h"
#include "shared/net/wait.h"
#include "tests/system/queue_on_test.h"

namespace tandem::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::Field;

const std::vector<std::string> kQuickLeases = {"broker.lease_ms=1500", "broker.heartbeat_ms=150",
                                               "broker.restart_grace_ms=1000", "broker.backoff_ms=20"};

class ComplaintsTest : public QueueOnTest {
 protected:
  void kill_broker_and_start_it_again() {
    broker_->kill(SIGKILL);
    EXPECT_EQ(broker_->wait(), 128 + SIGKILL);
    start_broker(kQuickLeases);
  }
};

// A journal in memory: a sync costs nothing.
class SlowReaderTest : public QueueOnTest {
 protected:
  SlowReaderTest()
      : journal_(std::filesystem::exists("/dev/shm") ? "/dev/shm/td-slow-reader-"
                                                     : dir_.path().string() + "/j-") {
    journal_ += std::to_string(::getpid());
  }
  ~SlowReaderTest() override { std::filesystem::remove_all(journal_); }
  std::string journal_;
};

// "The worker is alive, and consumes nothing since the broker came back."
TEST_F(ComplaintsTest, AnIdleWorkerGoesOnAfterTheBrokerCameBackTenTimes) {
  start_broker(kQuickLeases);
  const auto worker = start_worker("ann");
  const auto client = open_client("carl");
  for (int i = 0; i < 10; ++i) {
    kill_broker_and_start_it_again();
    submit(*client, 3);
    ASSERT_EQ(take_outcomes(*client, 3).size(), 3u) << "after kill " << i << "\n" << worker->err();
  }
  EXPECT_TRUE(worker->running());
}

TEST_F(ComplaintsTest, ABusyWorkerGoesOnAfterTheBrokerCameBackTenTimes) {
  start_broker(kQuickLeases);
  const auto worker = start_worker("ann", {"--credit", "8"});
  const auto client = open_client("carl");
  size_t n_taken = 0;
  for (int i = 0; i < 10; ++i) {
    submit(*client, 100);
    n_taken += take_outcomes(*client, 5).size();  // in the middle of them
    kill_broker_and_start_it_again();
  }
  EXPECT_EQ(n_taken + take_outcomes(*client, 1000 - n_taken).size(), 1000u) << worker->err();
  EXPECT_EQ(client->n_outstanding(), 0u);
}

// "Long jobs are run twice when the broker restarts": the worker says what it holds, and keeps it.
TEST_F(ComplaintsTest, AWorkerInTheMiddleOfAJobKeepsItWhenTheBrokerComesBack) {
  start_broker(kQuickLeases);
  // A tenth of the answers may take six seconds: longer than a lease, and longer than what is needed to kill
  // the broker.
  const auto worker = start_worker("ann", {"--credit", "20", "--delay-us", "300000", "--seed", "5"});
  const auto client = open_client("carl");
  submit(*client, 20);
  auto outcomes = take_outcomes(*client, 1);  // it has them all: there is credit for them
  kill_broker_and_start_it_again();
  for (Outcome& outcome : take_outcomes(*client, 19, 180s)) outcomes.push_back(std::move(outcome));
  ASSERT_EQ(outcomes.size(), 20u) << worker->err();
  EXPECT_THAT(outcomes, Each(Field(&Outcome::attempt, 1u))) << "nobody else had them in between";
}

// "A healthy worker was declared stalled, and its jobs ran twice": what counts is the lease, and it is
// renewed.
TEST_F(ComplaintsTest, AWorkerThatPausesForLessThanItsLeaseLosesNothing) {
  start_broker({"broker.lease_ms=20000", "broker.heartbeat_ms=500"});
  const auto worker = start_worker("ann", {"--credit", "16", "--delay-us", "50000"});
  const auto client = open_client("carl");
  submit(*client, 200);
  size_t n_taken = 0;
  for (int i = 0; i < 3; ++i) {
    n_taken += take_outcomes(*client, 5).size();
    worker->kill(SIGSTOP);
    std::this_thread::sleep_for(700ms);  // a process that stands still: there is no other way to do that
    worker->kill(SIGCONT);
  }
  EXPECT_EQ(n_taken + take_outcomes(*client, 200 - n_taken).size(), 200u);
  const auto status = client->status(10s);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->redelivered_total, 0u);
}

// The same the other way round: a broker that stood still for longer than a lease finds its workers alive.
TEST_F(ComplaintsTest, ABrokerThatStoodStillDoesNotPunishItsWorkers) {
  start_broker(kQuickLeases);
  const auto worker = start_worker("ann", {"--credit", "16", "--delay-us", "200000"});
  const auto client = open_client("carl");
  submit(*client, 100);
  size_t n_taken = take_outcomes(*client, 5).size();
  broker_->kill(SIGSTOP);
  std::this_thread::sleep_for(2500ms);
  broker_->kill(SIGCONT);
  EXPECT_EQ(n_taken + take_outcomes(*client, 100 - n_taken).size(), 100u);
  const auto status = client->status(10s);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->redelivered_total, 0u);
}

// A worker that gives each answer in a message of its own, and gets the next job after it.
void answer_one_by_one(const std::string& work_endpoint, const std::string& results_endpoint, size_t n_jobs) {
  NetContext net;
  auto work = DealerSocket::connect(net, work_endpoint);
  auto results = PushSocket::connect(net, results_endpoint);
  ASSERT_TRUE(work && results);
  const std::string payload = encode(JobResult{{}});
  Hello hello;
  hello.worker = "one by one";
  hello.host = "here";
  hello.model = "none";
  hello.credit_max = 1;
  ASSERT_TRUE(work->send(hello));
  for (size_t n_done = 0; n_done < n_jobs;) {
    ASSERT_TRUE(wait({*work}, 60s)) << "after " << n_done << " jobs";
    while (const auto heard = work->receive()) {
      const auto* job = *heard ? std::get_if<Job>(&**heard) : nullptr;
      if (job == nullptr) continue;
      for (const JobItem& item : job->items) {
        ASSERT_TRUE(
            results->send(ResultMessage{hello.worker, {{item.id, item.attempt, {}, false, payload}}}));
        ++n_done;
      }
    }
  }
}

// "Messages were dropped silently at the high-water mark": a client does not read while results are
// published. The queues to it hold 10,000 messages at either end and drop the rest; all arrive in the end,
// and it can say how many it had to ask for.
TEST_F(SlowReaderTest, AClientThatDoesNotReadMissesNothingInTheEnd) {
  const char* const given = std::getenv("TANDEM_TEST_RESULTS");
  const size_t n_jobs = given == nullptr ? 24'000 : std::strtoul(given, nullptr, 10);
  constexpr size_t kQueuedMax = 21'500;  // 10,000 on either side, and what the kernel holds
  // Each result a publication of its own means a turn each: on a disk that need not be waited for.
  start_broker({"journal.folder=" + journal_});
  const auto client = open_client("carl", n_jobs), other = open_client("olga");
  submit(*client, n_jobs);
  const SystemClock clock;
  // All must be accepted: serve the client until the broker has them, while there is nobody to do them.
  uint64_t n_ready = 0;
  for (const TimePoint end = clock.now() + 60s; n_ready < n_jobs && clock.now() < end;) {
    EXPECT_TRUE(client->wait(200ms).empty());
    if (const auto status = other->status(10s)) n_ready = status->ready;
  }
  ASSERT_EQ(n_ready, n_jobs);
  client->wait(200ms);

  answer_one_by_one(endpoint("work"), endpoint("results-in"), n_jobs);
  uint64_t n_finished = 0;
  for (const TimePoint end = clock.now() + 60s; n_finished < n_jobs && clock.now() < end;) {
    if (const auto status = other->status(10s)) n_finished = status->finished_total;
  }
  ASSERT_EQ(n_finished, n_jobs);

  const auto outcomes = take_outcomes(*client, n_jobs);
  std::set<JobId> ids;
  for (const Outcome& outcome : outcomes) {
    EXPECT_TRUE(outcome.result) << outcome.result.error().text;
    ids.insert(outcome.id);
  }
  EXPECT_EQ(outcomes.size(), n_jobs);
  EXPECT_EQ(ids.size(), n_jobs) << "each once";
  EXPECT_EQ(client->n_outstanding(), 0u);
  EXPECT_GE(client->n_fetched(), n_jobs - kQueuedMax);
}

}  // namespace
}  // namespace tandem::testing
