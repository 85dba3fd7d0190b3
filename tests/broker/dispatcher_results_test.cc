// Outcomes wait for their client until it acknowledges them, across restarts, and each is what it was.

#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

using DispatcherResultsTest = DispatcherStory;

TEST_F(DispatcherResultsTest, WhatWasNotAcknowledgedIsCollectedInTheOrderInWhichItFinished) {
  do_job("one");
  do_job("two", "cora");
  do_job("three");
  submit("four", {.delay_ms = 1'000});
  cancel("four");
  EXPECT_THAT(collect(), ElementsAre("one", "three", "four"));
  EXPECT_THAT(collect("carl", 2), ElementsAre("one", "three"));
  EXPECT_THAT(collect("cora"), ElementsAre("two"));
  EXPECT_THAT(collect("nobody"), IsEmpty());
}

TEST_F(DispatcherResultsTest, WhatWasAcknowledgedIsNotCollectedAgainAndCanStillBeFetched) {
  do_job("one");
  do_job("two");
  acknowledge("one");
  acknowledge("one");
  EXPECT_THAT(collect(), ElementsAre("two"));
  EXPECT_EQ(fetch("one"), "one done, attempt 1: answer to one");
  EXPECT_EQ(status().clients.at(0).unacknowledged, 1u);
}

TEST_F(DispatcherResultsTest, AcknowledgementsSurviveARestartWithinASecond) {
  do_job("one");
  do_job("two");
  acknowledge("one");
  pass(1s);
  restart();
  EXPECT_THAT(collect(), ElementsAre("two"));
  acknowledge("two");
  pass(1s);
  restart();
  EXPECT_THAT(collect(), IsEmpty());
}

TEST_F(DispatcherResultsTest, OnlyTheClientItselfCanAcknowledgeAndOnlyWhatIsFinished) {
  do_job("one");
  submit("two", {.delay_ms = 1'000});
  acknowledge("one", "cora");
  acknowledge("two");
  EXPECT_THAT(collect(), ElementsAre("one"));
  cancel("two");
  EXPECT_THAT(collect(), ElementsAre("one", "two"));
}

TEST_F(DispatcherResultsTest, AnAcknowledgementInTheTurnOfItsOutcomeCounts) {
  ready("ann", 1);
  submit("one");
  std::vector<Event> events;
  events.push_back({{Door::kResults, ""}, ResultMessage{"ann", {{id("one"), 1, {}, false, "hello"}}}});
  events.push_back({{Door::kSubmit, "conn-carl"}, Acknowledge{"carl", {id("one")}}});
  turn(std::move(events));
  EXPECT_THAT(collect(), IsEmpty());
  pass(1s);
  restart();
  EXPECT_THAT(collect(), IsEmpty());
}

// A complaint about other queues: a finished job is later marked failed. Whatever is heard afterwards, from
// whomever, and whatever time passes: it stays done.
TEST_F(DispatcherResultsTest, AFinishedJobIsNeverMarkedFailed) {
  ready("ann", 1);
  submit("slow", {.attempts_max = 1, .ttl_ms = 60'000});
  die("ann");
  finish("ann", "slow", 1, "hello");
  published();
  fail_job("ann", "slow", 1, "out of memory", true);
  fail_job("ann", "slow", 1, "no such task", false);
  goodbye("ann");
  ready("ann", 1, {held("slow", 1)}, "new connection");
  cancel("slow");
  revive("slow");
  pass(2min);
  restart();
  pass(2min);
  EXPECT_EQ(fetch("slow"), "slow done, attempt 1: hello");
  EXPECT_THAT(published(), IsEmpty());
}

TEST_F(DispatcherResultsTest, WhenRoomIsShortWhatArrivedIsForgottenBeforeItsTime) {
  do_job("one");
  do_job("two");
  acknowledge("one");
  pass(1s);
  EXPECT_EQ(fetch("one"), "one done, attempt 1: answer to one");
  clock_.advance(1s);
  const auto plan = dispatcher_->turn(
      {.time = clock_.now(), .wall_ms = clock_.wall_ms(), .journal_bytes = 60, .journal_bytes_max = 100}, {});
  ASSERT_TRUE(journal_.commit(plan.facts));
  EXPECT_EQ(fetch("one"), "one unknown");
  EXPECT_EQ(fetch("two"), "two done, attempt 1: answer to two");
}

// Or it would be collected again after an orderly end.
TEST_F(DispatcherResultsTest, TheLastTurnWritesDownWhatArrived) {
  do_job("one");
  do_job("two");
  acknowledge("one");
  const Plan plan =
      dispatcher_->turn({.time = clock_.now(), .wall_ms = clock_.wall_ms(), .is_last = true}, {});
  ASSERT_TRUE(journal_.commit(plan.facts));
  restart();
  EXPECT_THAT(collect(), ElementsAre("two"));
}

// A turn answers what it has time for; the others are not forgotten.
TEST_F(DispatcherResultsTest, QuestionsThatTakeLongAreHeardOverSeveralTurns) {
  for (int i = 0; i < 1'000; ++i) submit("job " + std::to_string(i));
  std::vector<Event> questions;
  for (uint64_t i = 1; i <= 40; ++i) {
    questions.push_back({{Door::kSubmit, "conn " + std::to_string(i)}, List{i, false, "", 0, 1'000}});
  }
  questions.push_back(
      {{Door::kSubmit, "conn-carl"}, Submit{50, "carl", {{.id = id("new"), .payload = "text"}}}});
  std::vector<uint64_t> answered;
  int n_turns = 0;
  for (; !questions.empty(); ++n_turns) {
    ASSERT_LT(n_turns, 40);
    Plan plan = dispatcher_->turn({.time = clock_.now(), .wall_ms = clock_.wall_ms()}, std::move(questions));
    if (n_turns == 0) {
      EXPECT_EQ(plan.facts.accepted.size(), 1u) << "that is no question";
    }
    for (const Speech& speech : plan.speeches) {
      if (const auto* listed = std::get_if<Listed>(&speech.message)) {
        EXPECT_GE(listed->jobs.size(), 1'000u);
        answered.push_back(listed->request);
      }
    }
    questions = std::move(plan.unheard);
  }
  EXPECT_GT(n_turns, 1);
  ASSERT_EQ(answered.size(), 40u);
  EXPECT_TRUE(std::is_sorted(answered.begin(), answered.end()));
}

TEST_F(DispatcherResultsTest, WhoeverLeavesItsOutcomesThereDoesNotKeepThoseOfOthersThere) {
  for (const bool comes_back : {false, true}) {
    const std::string at = comes_back ? "again " : "";
    do_job(at + "left there");
    do_job(at + "fetched");
    acknowledge(at + "fetched");
    pass(1s);
    if (comes_back) restart();
    clock_.advance(1s);
    const auto plan = dispatcher_->turn(
        {.time = clock_.now(), .wall_ms = clock_.wall_ms(), .journal_bytes = 60, .journal_bytes_max = 100},
        {});
    ASSERT_TRUE(journal_.commit(plan.facts));
    EXPECT_EQ(fetch(at + "fetched"), at + "fetched unknown");
    EXPECT_THAT(fetch(at + "left there"), HasSubstr("done"));
  }
}

}  // namespace
}  // namespace tandem::broker
