// The life of a job, and how it ends.

#include "broker/dispatcher.h"

#include "shared/base/limits.h"
#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

using DispatcherTest = DispatcherStory;

TEST_F(DispatcherTest, AJobIsAcceptedLentFinishedPublishedAndCanBeFetched) {
  ready("ann", 1);
  EXPECT_THAT(told(), ElementsAre("ann: welcome"));
  EXPECT_EQ(fetch("greeting"), "greeting unknown");

  EXPECT_EQ(submit("greeting"), "greeting ready");
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 1"));
  EXPECT_EQ(fetch("greeting"), "greeting leased, attempt 1");

  finish("ann", "greeting", 1, "hello");
  EXPECT_THAT(published(), ElementsAre("carl/ greeting done: hello"));
  EXPECT_EQ(fetch("greeting"), "greeting done, attempt 1: hello");
}

TEST_F(DispatcherTest, AJobWaitsUntilAWorkerComes) {
  submit("greeting");
  pass(1min);
  EXPECT_THAT(assignments(), IsEmpty());

  ready("ann", 1);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 1"));
}

TEST_F(DispatcherTest, JobsGoOutInTheOrderOfArrivalAndNeverBeyondTheCredit) {
  submit_all({"one", "two", "three", "four"}, {});
  ready("ann", 2);
  EXPECT_THAT(assignments(), ElementsAre("one -> ann, attempt 1", "two -> ann, attempt 1"));

  finish("ann", "two", 1, "");
  EXPECT_THAT(assignments(), ElementsAre("three -> ann, attempt 1"));
}

TEST_F(DispatcherTest, TheWorkerWithTheLargestShareOfItsCreditFreeIsNext) {
  ready("ann", 1);
  ready("bob", 4);
  submit_all({"one", "two", "three", "four", "five", "six"}, {});
  // All free at first; then bob has 3/4, 2/4 and 1/4 free, and ann nothing.
  EXPECT_THAT(assignments(), UnorderedElementsAre("one -> ann, attempt 1", "two -> bob, attempt 1",
                                                  "three -> bob, attempt 1", "four -> bob, attempt 1",
                                                  "five -> bob, attempt 1"));
}

TEST_F(DispatcherTest, AWorkerCanAskForMoreAndForNoMore) {
  submit_all({"one", "two", "three"}, {});
  ready("ann", 1);
  EXPECT_THAT(assignments(), ElementsAre("one -> ann, attempt 1"));
  hear(Door::kWork, "conn-ann", Ready{2, 0, 0});
  EXPECT_THAT(assignments(), ElementsAre("two -> ann, attempt 1"));
  hear(Door::kWork, "conn-ann", Ready{0, 0, 0});
  finish("ann", "one", 1, "");
  finish("ann", "two", 1, "");
  EXPECT_THAT(assignments(), IsEmpty());
}

// ---- submitting again ----

TEST_F(DispatcherTest, SubmittingAgainTellsTheStateAndDoesNothingElse) {
  EXPECT_EQ(submit("greeting"), "greeting ready");
  EXPECT_EQ(submit("greeting"), "greeting ready");
  ready("ann", 5);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 1"));
  EXPECT_EQ(submit("greeting"), "greeting leased");

  finish("ann", "greeting", 1, "hello");
  EXPECT_EQ(submit("greeting"), "greeting done");
  EXPECT_THAT(assignments(), IsEmpty());
  EXPECT_EQ(fetch("greeting"), "greeting done, attempt 1: hello");
}

TEST_F(DispatcherTest, AnIdTwiceInOneMessageIsOneJob) {
  EXPECT_THAT(submit_all({"greeting", "greeting"}, {}), ElementsAre("greeting ready", "greeting ready"));
  ready("ann", 5);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 1"));
}

TEST_F(DispatcherTest, AJobThatBreaksALimitIsRefusedAndTheOthersAreNot) {
  EXPECT_EQ(submit("poison", {.attempts_max = 100}), "poison ready");
  EXPECT_EQ(submit("stubborn", {.attempts_max = 101}), "stubborn refused: invalid");
  EXPECT_EQ(submit("long", {.payload = std::string(limits::kPayloadBytesMax, 'x')}),
            "long refused: too_long");
  EXPECT_EQ(fetch("long"), "long unknown");
}

// The name becomes a topic, and "a/" must not hear what is for "a/b/".
TEST_F(DispatcherTest, AClientNameThatCannotBeATopicIsRefused) {
  for (const std::string& bad :
       {std::string(), std::string("a/b"), std::string("a\nb"), std::string(129, 'a')}) {
    hear(Door::kSubmit, "conn", Submit{3, bad, {{.id = id("greeting"), .payload = "x"}}});
    const Refused refused = answer<Refused>();
    EXPECT_EQ(refused.request, 3u);
    EXPECT_EQ(refused.error.code, ErrorCode::kInvalid);
    EXPECT_THAT(refused.error.text, HasSubstr("client: expected a name"));
  }
  EXPECT_EQ(submit("greeting", {.client = std::string(128, 'a')}), "greeting ready");
}

TEST_F(DispatcherTest, AFullJournalRefusesNewJobsKnowsOldOnesAndTakesResults) {
  ready("ann", 1);
  submit("greeting");
  room_ = 500;
  EXPECT_EQ(submit("short"), "short ready");
  EXPECT_THAT(submit_all({"one", "two"}, {}), ElementsAre("one ready", "two refused: full"));
  room_ = 0;
  EXPECT_EQ(submit("farewell"), "farewell refused: full");
  EXPECT_EQ(submit("greeting"), "greeting leased");
  finish("ann", "greeting", 1, "hello");
  EXPECT_EQ(fetch("greeting"), "greeting done, attempt 1: hello");

  room_ = 1 << 20;
  EXPECT_EQ(submit("farewell"), "farewell ready");
}

// ---- fairness ----

TEST_F(DispatcherTest, AClientWithFewJobsDoesNotWaitBehindOneWithMany) {
  submit_all({"big1", "big2", "big3", "big4"}, {.client = "big"});
  submit_all({"small1", "small2"}, {.client = "small"});
  ready("ann", 5);
  EXPECT_THAT(assignments(),
              ElementsAre("big1 -> ann, attempt 1", "small1 -> ann, attempt 1", "big2 -> ann, attempt 1",
                          "small2 -> ann, attempt 1", "big3 -> ann, attempt 1"));
}

TEST_F(DispatcherTest, FairnessIsCountedInCost) {
  submit_all({"long1", "long2", "long3"}, {.client = "long", .cost = 300});
  submit_all({"tiny1", "tiny2", "tiny3", "tiny4"}, {.client = "tiny", .cost = 100});
  ready("ann", 5);
  EXPECT_THAT(assignments(),
              ElementsAre("long1 -> ann, attempt 1", "tiny1 -> ann, attempt 1", "tiny2 -> ann, attempt 1",
                          "tiny3 -> ann, attempt 1", "long2 -> ann, attempt 1"));
}

// ---- cancel ----

TEST_F(DispatcherTest, AReadyJobCanBeCancelled) {
  submit("greeting");
  EXPECT_EQ(cancel("greeting"), "greeting cancelled");
  EXPECT_THAT(published(), ElementsAre("carl/ greeting cancelled: cancelled by a client"));
  ready("ann", 1);
  EXPECT_THAT(assignments(), IsEmpty());
  EXPECT_EQ(fetch("greeting"), "greeting cancelled: cancelled by a client");
  EXPECT_EQ(submit("greeting"), "greeting cancelled");
}

TEST_F(DispatcherTest, ALeasedJobIsCalledOffAndItsWorkerIsFree) {
  ready("ann", 1);
  submit_all({"greeting", "farewell"}, {});
  assignments();
  told();
  EXPECT_EQ(cancel("greeting"), "greeting cancelled");
  EXPECT_THAT(told(), ElementsAre("ann: cancel greeting"));
  EXPECT_THAT(assignments(), ElementsAre("farewell -> ann, attempt 1"));

  published();
  finish("ann", "greeting", 1, "hello");
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_EQ(fetch("greeting"), "greeting cancelled, attempt 1: cancelled by a client");
}

TEST_F(DispatcherTest, AFinishedJobKeepsItsOutcomeWhenCancelled) {
  ready("ann", 1);
  submit("greeting");
  finish("ann", "greeting", 1, "hello");
  published();
  EXPECT_EQ(cancel("greeting"), "greeting done");
  EXPECT_EQ(cancel("greeting"), "greeting done");
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_EQ(cancel("nobody"), "nobody refused: not_found");
}

TEST_F(DispatcherTest, AJobThatWaitsForItsNextAttemptCanBeCancelled) {
  ready("ann", 1);
  submit("greeting");
  fail_job("ann", "greeting", 1, "out of memory", true);
  EXPECT_EQ(cancel("greeting"), "greeting cancelled");
  assignments();
  pass(1min);
  EXPECT_THAT(assignments(), IsEmpty());
}

// ---- parts of answers ----

TEST_F(DispatcherTest, PartsArePassedOnFromTheHolderOfTheLeaseOnly) {
  ready("ann", 1);
  submit("greeting");
  part("ann", "greeting", 1, "hel");
  EXPECT_THAT(published(), ElementsAre("carl/ greeting part: hel"));
  part("bob", "greeting", 1, "wrong worker");
  part("ann", "greeting", 2, "wrong attempt");
  part("ann", "nothing", 1, "no such job");
  finish("ann", "greeting", 1, "hello");
  part("ann", "greeting", 1, "too late");
  EXPECT_THAT(published(), ElementsAre("carl/ greeting done: hello"));
}

// ---- retention ----

TEST_F(DispatcherTest, AFinishedJobIsForgottenAfterItsRetentionAndNotBefore) {
  config_.retention = 10min;
  restart();
  ready("ann", 1);
  submit("greeting");
  finish("ann", "greeting", 1, "hello");
  pass(config_.retention - 1s);
  EXPECT_EQ(fetch("greeting"), "greeting done, attempt 1: hello");
  pass(2s);
  EXPECT_EQ(fetch("greeting"), "greeting unknown");
  EXPECT_THAT(journal_.facts(), IsEmpty());
  EXPECT_EQ(submit("greeting"), "greeting ready");
}

TEST_F(DispatcherTest, ManyOldJobsAreForgottenABoundedNumberATurn) {
  config_.sweep_jobs_max = 10;
  restart();
  Lines names;
  for (int i = 0; i < 25; ++i) names.push_back("job" + std::to_string(i));
  ready("ann", 25);
  submit_all(names, {});
  for (const std::string& each : names) finish("ann", each, 1, "");
  clock_.advance(config_.retention + 1s);
  for (const size_t left : {15u, 5u, 0u}) {
    turn({});
    EXPECT_EQ(dispatcher_->n_finished_kept(), left);
    // More to do: the next turn is now.
    EXPECT_EQ(wake_at_ == clock_.now(), left > 0);
  }
}

// ---- what does not belong ----

TEST_F(DispatcherTest, AMessageAtTheWrongDoorIsRefusedOrDropped) {
  hear(Door::kSubmit, "conn", Welcome{});
  EXPECT_THAT(answer<Refused>().error.text, "expected a message of clients, found welcome");
  ready("ann", 1);
  hear(Door::kWork, "conn-ann", Submit{1, "carl", {{.id = id("greeting"), .payload = "x"}}});
  hear(Door::kResults, "", Submit{1, "carl", {{.id = id("greeting"), .payload = "x"}}});
  EXPECT_EQ(dispatcher_->counters().misplaced, 3u);
  EXPECT_EQ(fetch("greeting"), "greeting unknown");
}

TEST_F(DispatcherTest, StatusTellsWhatIsGoingOn) {
  ready("ann", 2);
  submit_all({"one", "two", "three"}, {});
  finish("ann", "one", 1, "");
  pass(3s);
  const StatusReply reply = status();
  EXPECT_EQ(reply.ready, 0u);
  EXPECT_EQ(reply.leased, 2u);
  EXPECT_EQ(reply.finished_kept, 1u);
  EXPECT_EQ(reply.accepted_total, 3u);
  EXPECT_EQ(reply.finished_total, 1u);
  EXPECT_EQ(reply.uptime_ms, 3000u);
  ASSERT_EQ(reply.workers.size(), 1u);
  EXPECT_EQ(reply.workers[0].name, "ann");
  EXPECT_EQ(reply.workers[0].leased, 2u);
  EXPECT_EQ(reply.workers[0].finished, 1u);
  ASSERT_EQ(reply.clients.size(), 1u);
  EXPECT_EQ(reply.clients[0].name, "carl");
  EXPECT_EQ(reply.clients[0].unfinished, 2u);
  EXPECT_EQ(reply.clients[0].unacknowledged, 1u);
  const auto jobs = list(false, "", 0, 1);
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(name(jobs[0].id), "two");
  EXPECT_EQ(jobs[0].worker, "ann");
  EXPECT_EQ(jobs[0].age_ms, 3000u);
  ASSERT_EQ(list(false, "", jobs[0].place).size(), 1u);
  EXPECT_EQ(name(list(false, "", jobs[0].place)[0].id), "three");
}

}  // namespace
}  // namespace tandem::broker
