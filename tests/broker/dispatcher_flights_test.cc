// Equal jobs under way at the same time run once, and everybody gets the outcome.

#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

using DispatcherFlightsTest = DispatcherStory;

TEST_F(DispatcherFlightsTest, EqualJobsRunOnceAndAllClientsGetTheAnswer) {
  ready("ann", 5);
  submit("first", {.client = "carl"});
  submit("twin", {.client = "cora", .of = "first"});
  submit("third", {.client = "carl", .of = "first"});
  EXPECT_THAT(assignments(), ElementsAre("first -> ann, attempt 1"));
  EXPECT_EQ(status().joined_total, 2u);
  finish("ann", "first", 1, "hello");
  EXPECT_THAT(published(), UnorderedElementsAre("carl/ first done: hello", "cora/ twin done: hello",
                                                "carl/ third done: hello"));
  EXPECT_EQ(fetch("twin"), "twin done, attempt 1: hello");
  // What is over is over: the next one runs.
  submit("later", {.of = "first"});
  EXPECT_THAT(assignments(), ElementsAre("later -> ann, attempt 1"));
}

TEST_F(DispatcherFlightsTest, AnErrorThatAnotherAttemptCannotHelpIsEverybodys) {
  ready("ann", 5);
  submit("first");
  submit("twin", {.of = "first"});
  fail_job("ann", "first", 1, "unknown task 'x'", false);
  EXPECT_EQ(fetch("twin"), "twin failed, attempt 1: unknown task 'x'");
}

TEST_F(DispatcherFlightsTest, StreamedPartsGoToAllOfThem) {
  ready("ann", 5);
  submit("first", {.client = "carl"});
  submit("twin", {.client = "cora", .of = "first"});
  part("ann", "first", 1, "hel");
  EXPECT_THAT(published(), UnorderedElementsAre("carl/ first part: hel", "cora/ twin part: hel"));
}

TEST_F(DispatcherFlightsTest, ATwinOutlivesItsCancelledLeader) {
  ready("ann", 1);
  submit("first");
  submit("twin", {.of = "first"});
  submit("third", {.of = "first"});
  assignments();
  cancel("first");
  EXPECT_THAT(published(), ElementsAre("carl/ first cancelled: cancelled by a client"));
  EXPECT_THAT(assignments(), ElementsAre("twin -> ann, attempt 1"));
  finish("ann", "twin", 1, "hello");
  EXPECT_THAT(published(), ElementsAre("carl/ third done: hello", "carl/ twin done: hello"));
}

TEST_F(DispatcherFlightsTest, ThoseThatWaitCountAsReadyAndAsJoinedOnce) {
  submit("first");
  for (int i = 0; i < 100; ++i) submit("twin " + std::to_string(i), {.of = "first"});
  EXPECT_EQ(status().ready, 101u);
  EXPECT_EQ(dispatcher_->n_ready(), 1u);
  EXPECT_EQ(dispatcher_->n_joined(), 100u);
  EXPECT_EQ(status().joined_total, 100u);
  cancel("first");
  for (int i = 0; i < 50; ++i) cancel("twin " + std::to_string(i));
  EXPECT_EQ(status().ready, 50u);
  EXPECT_EQ(dispatcher_->n_joined(), 49u);
  EXPECT_EQ(status().joined_total, 100u) << "nobody joined again";
  ready("ann", 5);
  EXPECT_THAT(assignments(), ElementsAre("twin 50 -> ann, attempt 1"));
  finish("ann", "twin 50", 1, "hello");
  EXPECT_EQ(published().size(), 101u);
  EXPECT_EQ(status().ready, 0u);
}

// Of those that wait, the most urgent goes on, and then that of the client with the fewest jobs.
TEST_F(DispatcherFlightsTest, WhoTakesOverIsNotInTheLineOfAClientWithMany) {
  for (int i = 0; i < 20; ++i) submit("other " + std::to_string(i), {.client = "bulk"});
  submit("first", {.client = "carl"});
  submit("of many", {.client = "bulk", .of = "first"});
  submit("of few", {.client = "cora", .of = "first"});
  cancel("first");
  ready("ann", 2);
  EXPECT_THAT(assignments(), ::testing::Contains("of few -> ann, attempt 1"));
}

TEST_F(DispatcherFlightsTest, PartsGoToTheFirstThousandOfThoseThatWait) {
  ready("ann", 5);
  submit("first");
  for (int i = 0; i < 1'500; ++i) submit("twin " + std::to_string(i), {.of = "first"});
  part("ann", "first", 1, "hel");
  EXPECT_EQ(published().size(), 1'001u);
}

TEST_F(DispatcherFlightsTest, ATwinOutlivesItsExpiredLeader) {
  ready("ann", 1);
  submit("first", {.ttl_ms = 5'000});
  submit("twin", {.of = "first"});
  pass(5s);
  EXPECT_EQ(fetch("first"), "first expired, attempt 1: its time to live was over before it was done");
  EXPECT_EQ(fetch("twin"), "twin leased, attempt 1");
}

// The worker looks at the leader's time, too, and its word may be heard first.
TEST_F(DispatcherFlightsTest, ATwinOutlivesALeaderThatExpiredAtTheWorker) {
  ready("ann", 1);
  submit("first", {.ttl_ms = 5'000});
  submit("twin", {.of = "first"});
  clock_.advance(5s);
  hear(Door::kResults, "",
       ResultMessage{"ann", {{id("first"), 1, {ErrorCode::kExpired, "too late"}, false, ""}}});
  EXPECT_EQ(fetch("first"), "first expired, attempt 1: too late");
  EXPECT_EQ(fetch("twin"), "twin leased, attempt 1");
}

TEST_F(DispatcherFlightsTest, ACancelledOrExpiredTwinLeavesTheOthersAlone) {
  ready("ann", 1);
  submit("first");
  submit("twin", {.of = "first"});
  submit("short", {.ttl_ms = 5'000, .of = "first"});
  cancel("twin");
  pass(5s);
  EXPECT_THAT(published(), ElementsAre("carl/ twin cancelled: cancelled by a client",
                                       "carl/ short expired: its time to live was over before it was done"));
  finish("ann", "first", 1, "hello");
  EXPECT_THAT(published(), ElementsAre("carl/ first done: hello"));
}

TEST_F(DispatcherFlightsTest, ALeaderThatIsGivenUpTakesThoseAlongThatHaveNoMoreAttemptsThanIt) {
  ready("ann", 1);
  submit("first", {.attempts_max = 2});
  submit("twin", {.attempts_max = 2, .of = "first"});
  submit("stubborn", {.attempts_max = 3, .of = "first"});
  fail_job("ann", "first", 1, "out of memory", true);
  pass(1s);
  fail_job("ann", "first", 2, "out of memory", true);
  EXPECT_THAT(fetch("first"), HasSubstr("first dead, attempt 2: given up after 2 attempts"));
  EXPECT_THAT(fetch("twin"), HasSubstr("twin dead, attempt 2: given up after 2 attempts"));
  EXPECT_EQ(fetch("stubborn"), "stubborn leased, attempt 3");  // its last
  fail_job("ann", "stubborn", 3, "out of memory", true);
  EXPECT_THAT(fetch("stubborn"), HasSubstr("stubborn dead, attempt 3: given up after 3 attempts"));
}

// Attempts that were excused stay so when those of the leader are counted.
TEST_F(DispatcherFlightsTest, AJobThatWasGivenBackOftenIsNotTakenForWornOutWhenItsLeaderDies) {
  submit("often", {.attempts_max = 3});
  submit("first", {.attempts_max = 1, .priority = 9, .of = "often"});
  restart();
  ready("ann", 1);
  for (uint32_t attempt = 2; attempt <= 4; ++attempt) {
    beat("ann", {held("often", attempt)});
    hear(Door::kWork, "conn-ann", Returned{{held("often", attempt)}});
  }
  pass(3s);
  EXPECT_THAT(assignments(), ElementsAre("first -> ann, attempt 1"));
  fail_job("ann", "first", 1, "out of memory", true);
  EXPECT_THAT(fetch("first"), HasSubstr("first dead"));
  EXPECT_EQ(fetch("often"), "often leased, attempt 6");  // the leader's one was for it, too
  fail_job("ann", "often", 6, "out of memory", true);
  EXPECT_EQ(fetch("often"), "often ready, attempt 6");
}

TEST_F(DispatcherFlightsTest, WhoeverWaitsLendsItsUrgencyToTheLeader) {
  submit("bulk");
  submit("before");
  submit("first");
  submit("person", {.urgency = Urgency::kInteractive, .of = "first"});
  ready("ann", 1);
  EXPECT_THAT(assignments(), ElementsAre("first -> ann, attempt 1"));
}

// Also when the leader waits for its next attempt.
TEST_F(DispatcherFlightsTest, AlsoToALeaderThatHasFailedAndWaits) {
  ready("ann", 1);
  submit("first");
  fail_job("ann", "first", 1, "out of memory", true);
  submit("blocker");
  submit_all({"bulk", "more"}, {.priority = 9});
  submit("person", {.urgency = Urgency::kInteractive, .of = "first"});
  pass(1s);
  assignments();
  finish("ann", "blocker", 1, "");
  EXPECT_THAT(assignments(), ElementsAre("first -> ann, attempt 2"));
}

// After a restart nobody leads: whoever's turn comes first does.
TEST_F(DispatcherFlightsTest, EqualJobsRunOnceAfterARestartToo) {
  config_.restart_grace = 0ms;
  submit("other");
  submit("first");
  submit("person", {.urgency = Urgency::kInteractive, .of = "first"});
  restart();
  ready("ann", 5);
  EXPECT_THAT(assignments(), ElementsAre("person -> ann, attempt 1", "other -> ann, attempt 1"));
  finish("ann", "person", 1, "hello");
  EXPECT_EQ(fetch("first"), "first done, attempt 1: hello");
}

TEST_F(DispatcherFlightsTest, AReplayedJobDoesNotWaitBehindALessUrgentNewOne) {
  submit("person", {.urgency = Urgency::kInteractive});
  restart();
  submit("bulk");
  submit("new", {.of = "person"});
  pass(3s);
  ready("ann", 1);
  EXPECT_THAT(assignments(), ElementsAre("person -> ann, attempt 1"));
  finish("ann", "person", 1, "hello");
  EXPECT_EQ(fetch("new"), "new done, attempt 1: hello");
}

TEST_F(DispatcherFlightsTest, ADelayedJobDoesNotRunBeforeItsTimeBecauseAnEqualOneDoes) {
  ready("ann", 1);
  submit("later", {.delay_ms = 60'000});
  submit("now", {.of = "later"});
  finish("ann", "now", 1, "hello");
  EXPECT_EQ(fetch("later"), "later ready");
  pass(1min);
  EXPECT_EQ(fetch("later"), "later leased, attempt 1");
}

// Random lives of equal jobs: everybody ends once, and with an answer that somebody gave.
TEST_F(DispatcherFlightsTest, ManyTwinsOfManyLeadersAllEnd) {
  ready("ann", 3);
  Lines names;
  for (int i = 0; i < 60; ++i) {
    names.push_back("job" + std::to_string(i));
    submit(names.back(), {.client = "client" + std::to_string(i % 4), .of = "text" + std::to_string(i % 5)});
    if (i % 7 == 0) cancel(names[static_cast<size_t>(i) / 2]);
  }
  for (int round = 0; round < 20; ++round) {
    for (const std::string& line : assignments()) finish("ann", line.substr(0, line.find(' ')), 1, "answer");
  }
  for (const std::string& name : names) EXPECT_THAT(fetch(name), ::testing::ContainsRegex("done|cancelled"));
  EXPECT_EQ(dispatcher_->n_ready(), 0u);
}

}  // namespace
}  // namespace tandem::broker
