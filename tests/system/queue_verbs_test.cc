// The verbs around the queue against the real broker, without a worker: jobs wait until they are taken back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "tests/system/deployment.h"

namespace tandem::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class QueueVerbsTest : public ::testing::Test {
 protected:
  json status() { return json::parse(here_.tandem({"jobs", "--limit", "0", "--json"}).out); }
  // Until `field` of the status is `n`; what it is at the end.
  uint64_t wait_for(const std::string& field, uint64_t n) {
    for (int i = 0; i < 300 && status()[field] != n; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return status()[field];
  }
  uint64_t n_to_collect() {
    uint64_t n = 0;
    for (const json& client : status()["clients"]) n += client["unacknowledged"].get<uint64_t>();
    return n;
  }

  Deployment here_;
};

// Nobody asks for them any more: each would lie in the journal until its retention ends.
TEST_F(QueueVerbsTest, AnInterruptedRunLeavesNoOutcomesToCollect) {
  const Process broker = here_.start_broker();
  std::string lines;
  for (int i = 0; i < 5000; ++i) lines += json{{"text", "number " + std::to_string(i)}}.dump() + "\n";
  Process run = here_.start_tandem({"run", here_.write("in.jsonl", lines), "-o", here_.path("out.jsonl"),
                                    "--tasks", "sentiment", "--outstanding", "5000"});
  ASSERT_EQ(wait_for("ready", 5000), 5000u) << run.err();
  run.kill(SIGINT);
  EXPECT_EQ(run.wait(), 130);
  EXPECT_THAT(run.err(), HasSubstr("interrupted; 0 rows are in"));
  const json after = status();
  EXPECT_EQ(after["ready"], 0);
  EXPECT_EQ(after["finished_kept"], 5000);
  EXPECT_EQ(after["finished_total"], 5000);
  EXPECT_EQ(after["failed_total"], 0) << "what somebody takes back has not failed";
  for (int i = 0; i < 50 && n_to_collect() > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(n_to_collect(), 0u);
}

// Jobs that wait for an equal one are jobs, and more of them than fit into a page of the list.
TEST_F(QueueVerbsTest, AllJobsOfAClientAreCancelledHoweverManyAreEqual) {
  const Process broker = here_.start_broker();
  std::string lines;
  for (int i = 0; i < 2500; ++i) lines += "{\"text\": \"the same\"}\n";
  Process run = here_.start_tandem({"run", here_.write("in.jsonl", lines), "-o", here_.path("out.jsonl"),
                                    "--tasks", "sentiment", "--outstanding", "2500"});
  ASSERT_EQ(wait_for("accepted_total", 2500), 2500u) << run.err();
  const std::string client = status()["clients"][0]["name"];
  const RunResult cancelled = here_.tandem({"cancel", "--client", client, "--all", "--yes"});
  EXPECT_EQ(cancelled.status, 0) << cancelled.err;
  EXPECT_EQ(cancelled.out, "2500 jobs cancelled\n");
  EXPECT_EQ(run.wait(), 1);
}

// Waiting in silence looks like work.
TEST_F(QueueVerbsTest, WhoWaitsForAWorkerThatIsNotThereIsTold) {
  const Process broker = here_.start_broker();
  Process run = here_.start_tandem({"run", here_.write("in.jsonl", "{\"text\": \"good\"}\n"), "-o",
                                    here_.path("out.jsonl"), "--tasks", "sentiment", "--ttl", "4s"});
  const RunResult one = here_.tandem({"submit", "--task", "sentiment", "--ttl", "4s", "good"});
  EXPECT_EQ(one.status, 1);
  EXPECT_THAT(one.err, HasSubstr("no worker is there; waiting for one"));
  EXPECT_EQ(run.wait(), 1);
  EXPECT_THAT(run.err(), HasSubstr("no worker is there; waiting for one"));
}

TEST_F(QueueVerbsTest, WhoWaitsForRoomIsToldWhatIsFull) {
  const Process broker = here_.start_broker({"limits.jobs_max=1"});
  ASSERT_EQ(here_.tandem({"submit", "--detach", "--client", "shop", "first"}).status, 0);
  Process second = here_.start_tandem({"submit", "--detach", "--client", "shop", "second"});
  for (int i = 0; i < 100 && second.err().empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_THAT(second.err(), HasSubstr("broker full: "));
  EXPECT_THAT(second.err(), HasSubstr("jobs_max"));
}

}  // namespace
}  // namespace tandem::testing
