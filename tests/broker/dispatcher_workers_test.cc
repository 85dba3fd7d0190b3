// Workers that die, hang, come back, leave or were never known; and what their jobs go through.

#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

using DispatcherWorkersTest = DispatcherStory;

// A worker that dies says nothing, so time is the only witness.
TEST_F(DispatcherWorkersTest, TheJobGoesToAnotherWorkerWhenTheLeaseRunsOut) {
  ready("ann", 1);
  submit("greeting");
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 1"));

  ready("bob", 1);
  die("ann");
  pass(9'999ms);
  EXPECT_THAT(assignments(), IsEmpty());

  pass(1ms);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> bob, attempt 2"));
}

TEST_F(DispatcherWorkersTest, ASlowWorkerKeepsItsJobAsLongAsItSaysSo) {
  ready("ann", 1);
  ready("bob", 1);
  submit("greeting");
  pass(10min);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 1"));
  finish("ann", "greeting", 1, "hello");
  EXPECT_THAT(published(), ElementsAre("carl/ greeting done: hello"));
}

// A message with a job can be lost while the worker is well: heartbeats that do not name it say so.
TEST_F(DispatcherWorkersTest, AHeartbeatRenewsTheLeasesItNamesAndNoOthers) {
  submit_all({"one", "two"}, {});
  ready("ann", 2);
  assignments();
  die("ann");
  ready("bob", 2);
  for (int i = 0; i < 5; ++i) {
    pass(2s);
    beat("ann", {held("one", 1)});
  }
  EXPECT_THAT(assignments(), ElementsAre("two -> bob, attempt 2"));
}

TEST_F(DispatcherWorkersTest, AJobThatComesBackStandsInFrontOfThoseThatCameAfterIt) {
  ready("ann", 1);
  submit("first");
  submit("second");
  die("ann");
  pass(10s);
  assignments();
  ready("bob", 2);
  EXPECT_THAT(assignments(), ElementsAre("first -> bob, attempt 2", "second -> bob, attempt 1"));
}

TEST_F(DispatcherWorkersTest, ASilentWorkerGetsNoNewJobsLongBeforeItsLeasesEnd) {
  ready("ann", 2);
  die("ann");
  pass(5s);
  submit("one");
  EXPECT_THAT(assignments(), ElementsAre("one -> ann, attempt 1"));
  pass(1s);
  submit("two");
  EXPECT_THAT(assignments(), IsEmpty());
  beat("ann", {held("one", 1)});
  EXPECT_THAT(assignments(), ElementsAre("two -> ann, attempt 1"));
}

TEST_F(DispatcherWorkersTest, ALateResultCountsWhenItIsTheFirst) {
  ready("ann", 1);
  submit("greeting");
  die("ann");
  pass(10s);  // ready again
  finish("ann", "greeting", 1, "hello");
  EXPECT_THAT(published(), ElementsAre("carl/ greeting done: hello"));
  ready("bob", 1);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 1"));
}

TEST_F(DispatcherWorkersTest, TheFirstResultWinsTheOtherWorkerIsCalledOffAndItsResultIsDropped) {
  ready("ann", 1);
  submit("greeting");
  die("ann");
  ready("bob", 1);
  pass(10s);
  assignments();
  told();

  finish("ann", "greeting", 1, "hello from ann");
  EXPECT_THAT(told(), ElementsAre("bob: cancel greeting"));
  finish("bob", "greeting", 2, "hello from bob");
  EXPECT_THAT(published(), ElementsAre("carl/ greeting done: hello from ann"));
  EXPECT_EQ(fetch("greeting"), "greeting done, attempt 1: hello from ann");
  EXPECT_EQ(dispatcher_->counters().late_results, 1u);

  submit("farewell");  // bob is free
  EXPECT_THAT(assignments(), ElementsAre("farewell -> bob, attempt 1"));
}

TEST_F(DispatcherWorkersTest, TheSameResultTwiceIsOneOutcome) {
  ready("ann", 1);
  submit("greeting");
  finish("ann", "greeting", 1, "hello");
  finish("ann", "greeting", 1, "hello");
  EXPECT_THAT(published(), ElementsAre("carl/ greeting done: hello"));
  finish("ann", "never heard of", 1, "hello");
  EXPECT_EQ(dispatcher_->counters().late_results, 2u);
}

// ---- errors ----

TEST_F(DispatcherWorkersTest, AnErrorThatAnotherAttemptCannotHelpEndsTheJob) {
  ready("ann", 1);
  submit("greeting");
  fail_job("ann", "greeting", 1, "unknown task 'x'", false);
  EXPECT_THAT(published(), ElementsAre("carl/ greeting failed: unknown task 'x'"));
  EXPECT_EQ(fetch("greeting"), "greeting failed, attempt 1: unknown task 'x'");
}

// Between half and all of it, so that jobs that failed together do not come back together.
TEST_F(DispatcherWorkersTest, AFailedAttemptIsRepeatedAfterAPauseThatDoubles) {
  ready("ann", 1);
  submit("greeting");
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 1"));
  fail_job("ann", "greeting", 1, "out of memory", true);
  pass(249ms);
  EXPECT_THAT(assignments(), IsEmpty());
  pass(251ms);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 2"));
  fail_job("ann", "greeting", 2, "out of memory", true);
  pass(499ms);
  EXPECT_THAT(assignments(), IsEmpty());
  pass(501ms);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 3"));
}

TEST_F(DispatcherWorkersTest, JobsThatFailTogetherComeBackOneByOne) {
  config_.backoff = 10s;
  restart();
  ready("ann", 100);
  Lines names;
  for (int i = 0; i < 100; ++i) names.push_back("job" + std::to_string(i));
  submit_all(names, {});
  for (const std::string& each : names) fail_job("ann", each, 1, "the disk is full", true);
  assignments();
  std::vector<size_t> came;
  for (int second = 0; second < 5; ++second) {
    pass(second == 0 ? 6s : 1s);
    came.push_back(assignments().size());
  }
  for (const size_t n : came) {
    EXPECT_GT(n, 5u);
    EXPECT_LT(n, 40u);
  }
}

TEST_F(DispatcherWorkersTest, AJobThatFailsEveryTimeEndsAfterAttemptsMaxWithTheLastReason) {
  ready("ann", 1);
  submit("greeting", {.attempts_max = 2});
  fail_job("ann", "greeting", 1, "out of memory", true);
  pass(1s);
  fail_job("ann", "greeting", 2, "out of luck", true);
  EXPECT_THAT(
      published(),
      ElementsAre("carl/ greeting dead: given up after 2 attempts; the last: worker 'ann': out of luck"));
}

// The job that kills every worker it meets must not kill them for ever.
TEST_F(DispatcherWorkersTest, APoisonJobIsGivenUpAndNamesItsLastVictim) {
  submit("poison");
  for (int i = 1; i <= 5; ++i) {
    const std::string victim = "worker" + std::to_string(i);
    ready(victim, 1);
    EXPECT_THAT(assignments(), ElementsAre("poison -> " + victim + ", attempt " + std::to_string(i)));
    EXPECT_THAT(published(), IsEmpty());
    die(victim);
    pass(20s);
  }
  EXPECT_THAT(published(),
              ElementsAre("carl/ poison dead: given up after 5 attempts; the last: worker 'worker5' "
                          "did not renew its lease"));
  ready("worker6", 1);
  EXPECT_THAT(assignments(), IsEmpty());
}

TEST_F(DispatcherWorkersTest, AnOldAttemptCannotFailTheNewOne) {
  ready("ann", 1);
  submit("greeting", {.attempts_max = 2});
  die("ann");
  ready("bob", 1);
  pass(10s);
  fail_job("ann", "greeting", 1, "out of memory", true);
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_EQ(fetch("greeting"), "greeting leased, attempt 2");
}

// The two travel through different sockets: the heartbeat was sent first and comes last.
TEST_F(DispatcherWorkersTest, AHeartbeatThatWasOvertakenByAFailureDoesNotBringTheLeaseBack) {
  ready("ann", 1);
  submit("greeting");
  fail_job("ann", "greeting", 1, "out of memory", true);
  beat("ann", {held("greeting", 1)});
  assignments();
  pass(500ms);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 2"));
}

// ---- hello, goodbye, who are you ----

TEST_F(DispatcherWorkersTest, AWorkerThatLeavesGivesItsJobsBackAtOnceAndTheyAreNotBlamed) {
  submit("greeting", {.attempts_max = 1});
  for (int i = 1; i <= 3; ++i) {
    ready("ann", 1);
    EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt " + std::to_string(i)));
    goodbye("ann");
  }
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_EQ(fetch("greeting"), "greeting ready, attempt 3");

  ready("bob", 1);
  die("bob");
  pass(10s);
  EXPECT_THAT(published(), ElementsAre(HasSubstr("given up after 1 attempt; the last: worker 'bob'")));
}

TEST_F(DispatcherWorkersTest, AWorkerThatTheBrokerDoesNotKnowIsAskedWhoItIs) {
  hear(Door::kWork, "stranger", Heartbeat{});
  hear(Door::kWork, "stranger", Ready{5});
  EXPECT_THAT(told(), ElementsAre("stranger: who are you", "stranger: who are you"));
  submit("greeting");
  EXPECT_THAT(assignments(), IsEmpty());
  hear(Door::kWork, "stranger", Goodbye{});
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(DispatcherWorkersTest, AWorkerWithoutANameIsRefused) {
  ready("", 1);
  EXPECT_THAT(told(), ElementsAre(": refused"));
  submit("greeting");
  EXPECT_THAT(assignments(), IsEmpty());
}

TEST_F(DispatcherWorkersTest, AWorkerThatWasSilentTooLongIsAskedAndKeepsWhatNobodyElseHas) {
  ready("ann", 2);
  submit_all({"one", "two"}, {});
  die("ann");
  pass(8s);
  ready("bob", 1);
  pass(2s);
  EXPECT_THAT(assignments(),
              ElementsAre("one -> ann, attempt 1", "two -> ann, attempt 1", "one -> bob, attempt 2"));
  told();

  pass(1s);
  beat("ann", {held("one", 1), held("two", 1)});
  EXPECT_THAT(told(), ElementsAre("ann: who are you"));
  ready("ann", 2, {held("one", 1), held("two", 1)});
  // Nothing is lent a second time, and both of "one" may finish.
  EXPECT_THAT(assignments(), IsEmpty());
  EXPECT_EQ(fetch("two"), "two leased, attempt 1");
  EXPECT_EQ(status().workers.at(0).leased, 1u);
}

TEST_F(DispatcherWorkersTest, AWorkerThatReconnectsKeepsItsLeasesAndReturnsTheRest) {
  ready("ann", 2);
  submit_all({"one", "two"}, {});
  assignments();
  told();
  ready("ann", 2, {held("one", 1)}, "new connection");
  EXPECT_THAT(told(), ElementsAre("ann: welcome"));
  EXPECT_THAT(assignments(), ElementsAre("two -> ann, attempt 2"));
  finish("ann", "one", 1, "hello");
  EXPECT_EQ(fetch("one"), "one done, attempt 1: hello");
  hear(Door::kWork, "conn-ann", Heartbeat{});  // the old connection is nobody now
  EXPECT_THAT(told(), ElementsAre("conn-ann: who are you"));
}

// Two heartbeats to a restarted broker make two "who are you" and two Hellos; the second may cross a Job.
TEST_F(DispatcherWorkersTest, AHelloOverTheSameConnectionDoesNotReturnWhatMayBeOnItsWay) {
  ready("ann", 1);
  submit("greeting");
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 1"));
  ready("ann", 1);
  EXPECT_THAT(assignments(), IsEmpty());
}

TEST_F(DispatcherWorkersTest, AWorkerThatHoldsAFinishedJobIsToldToStop) {
  ready("ann", 1);
  submit("greeting");
  cancel("greeting");
  told();
  ready("ann", 1, {held("greeting", 1), held("from another broker", 3)}, "new connection");
  EXPECT_THAT(told(), ElementsAre("ann: welcome", "ann: cancel greeting", "ann: cancel from another broker"));
}

TEST_F(DispatcherWorkersTest, AttemptNumbersThatCannotBeAreIgnored) {
  ready("ann", 1);
  submit("greeting");
  die("ann");
  pass(11s);
  assignments();
  ready("bob", 0);
  beat("bob", {held("greeting", 0), held("greeting", 4'000'000'000u)});
  EXPECT_EQ(fetch("greeting"), "greeting ready, attempt 1");
}

// ---- what a worker says of jobs that it was not lent ----

// "The first outcome wins, from whoever was lent the job": a worker that makes up ids or numbers ends
// nothing.
TEST_F(DispatcherWorkersTest, AnOutcomeUnderANumberThatWasNotGivenIsDropped) {
  submit("greeting");
  submit("delayed", {.delay_ms = 60'000, .ttl_ms = 120'000});
  finish("eve", "greeting", 1, "made up");
  fail_job("eve", "greeting", 4'294'967'295u, "made up", false);
  finish("eve", "delayed", 1, "made up");
  EXPECT_THAT(published(), IsEmpty());
  EXPECT_EQ(fetch("greeting"), "greeting ready");
  EXPECT_EQ(dispatcher_->counters().late_results, 3u);

  ready("ann", 1);
  finish("ann", "greeting", 0, "made up");
  finish("ann", "greeting", 2, "made up");
  EXPECT_EQ(fetch("greeting"), "greeting leased, attempt 1");
  finish("ann", "greeting", 1, "hello");
  EXPECT_EQ(fetch("greeting"), "greeting done, attempt 1: hello");
}

TEST_F(DispatcherWorkersTest, AHeartbeatDoesNotBringALeaseThatWasNotGiven) {
  submit("greeting");
  submit("delayed", {.delay_ms = 60'000});
  ready("eve", 0, {held("greeting", 1), held("greeting", 1'000'000), held("delayed", 1)});
  beat("eve", {held("greeting", 1), held("delayed", 200)});
  EXPECT_EQ(fetch("greeting"), "greeting ready");
  EXPECT_EQ(fetch("delayed"), "delayed ready");
  EXPECT_THAT(told(), ElementsAre("eve: welcome"));

  ready("ann", 1);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 1"));
  beat("ann", {held("greeting", 200)});
  EXPECT_EQ(fetch("greeting"), "greeting leased, attempt 1");
}

// Names are shown in tables and logs: one with a line end could write a line of its own.
TEST_F(DispatcherWorkersTest, NamesWithControlCharactersAreRefused) {
  ready("ann\n", 1);
  join("bob", {.host = "host\x1b[31m"});
  EXPECT_THAT(told(), ElementsAre("ann\n: refused", "bob: refused"));
  EXPECT_EQ(dispatcher_->workers().size(), 0u);
}

// ---- what users of other queues complained about ----

// Jobs lost because they left the queue before they were done: here nothing but an outcome ends a job.
TEST_F(DispatcherWorkersTest, AJobThatWasHandedOutIsNotGoneWhenBrokerAndWorkerDie) {
  ready("ann", 1);
  submit("greeting");
  assignments();
  die("ann");
  restart();
  EXPECT_EQ(submit("greeting"), "greeting ready");
  ready("bob", 1);
  pass(config_.restart_grace);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> bob, attempt 1"));
}

// Jobs "running" for ever: a worker that is well and has lost the job does not keep it.
TEST_F(DispatcherWorkersTest, AJobThatItsLivingWorkerHasForgottenIsNotRunningForEver) {
  ready("ann", 1);
  ready("bob", 1);
  submit("greeting");
  EXPECT_THAT(assignments(), ElementsAre("greeting -> ann, attempt 1"));
  die("ann");
  for (int second = 0; second < 10; ++second) {
    pass(1s);
    beat("ann", {});
  }
  EXPECT_EQ(fetch("greeting").substr(0, 28), "greeting leased, attempt 2");
}

// A rescue by time that runs live ones twice, and a visibility timeout that is too short for a long job or
// one that was delayed: a lease lasts as long as its worker says so, and a delay is no part of it.
TEST_F(DispatcherWorkersTest, ALongJobAndADelayedOneAreLentOnce) {
  ready("ann", 2);
  ready("bob", 2);
  submit("long");
  submit("delayed", {.delay_ms = 600'000});
  pass(1h);
  EXPECT_EQ(assignments().size(), 2u);
  EXPECT_EQ(dispatcher_->counters().redelivered, 0u);
  EXPECT_EQ(fetch("long"), "long leased, attempt 1");
  EXPECT_EQ(fetch("delayed"), "delayed leased, attempt 1");
}

// A healthy worker declared stalled: it was the broker that stood still, and what the worker said meanwhile
// waited.
TEST_F(DispatcherWorkersTest, AHealthyWorkerIsNotBlamedForABrokerThatStoodStill) {
  ready("ann", 1);
  ready("bob", 1);
  submit("greeting");
  assignments();
  clock_.advance(10min);
  beat("ann", {held("greeting", 1)});
  EXPECT_THAT(assignments(), IsEmpty());
  finish("ann", "greeting", 1, "hello");
  EXPECT_EQ(fetch("greeting"), "greeting done, attempt 1: hello");
  EXPECT_EQ(dispatcher_->counters().leases_lost, 0u);
}

}  // namespace
}  // namespace tandem::broker
