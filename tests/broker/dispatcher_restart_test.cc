// The broker itself dies, and comes back with the journal and nothing else.

#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

using DispatcherRestartTest = DispatcherStory;

TEST_F(DispatcherRestartTest, AfterARestartReadyJobsComeAgainInTheirOrderAndResultsAreStillThere) {
  config_.restart_grace = 0ms;
  restart();
  ready("ann", 1);
  submit_all({"one", "two", "three"}, {});
  finish("ann", "one", 1, "first");
  assignments();
  die("ann");

  restart();
  EXPECT_EQ(fetch("one"), "one done, attempt 1: first");
  EXPECT_EQ(fetch("two"), "two ready");
  EXPECT_EQ(submit("one"), "one done");
  EXPECT_EQ(submit("three"), "three ready");
  ready("bob", 3);
  EXPECT_THAT(assignments(), ElementsAre("two -> bob, attempt 1", "three -> bob, attempt 1"));
}

TEST_F(DispatcherRestartTest, AfterARestartWorkersGetTheTimeToSayWhatTheyHold) {
  ready("ann", 1);
  submit("greeting");
  submit("farewell");
  assignments();
  restart();

  ready("bob", 2);
  EXPECT_THAT(assignments(), IsEmpty());
  beat("ann", {held("greeting", 1)});
  EXPECT_THAT(told(), ::testing::Contains("ann: who are you"));
  ready("ann", 1, {held("greeting", 1)});
  pass(3s);
  EXPECT_THAT(assignments(), ElementsAre("farewell -> bob, attempt 1"));
  finish("ann", "greeting", 1, "hello");
  EXPECT_THAT(published(), ElementsAre("carl/ greeting done: hello"));
}

// The broker of before counted, and only the worker knows how far.
TEST_F(DispatcherRestartTest, AWorkerFromBeforeKeepsItsNumberAndThatIsOneTry) {
  submit("greeting", {.attempts_max = 2});
  restart();
  ready("ann", 0, {held("greeting", 900)});
  EXPECT_EQ(fetch("greeting"), "greeting leased, attempt 900");
  die("ann");
  ready("bob", 1);
  pass(10s);
  EXPECT_THAT(assignments(), ElementsAre("greeting -> bob, attempt 901"));
  die("bob");
  pass(10s);
  EXPECT_THAT(published(), ElementsAre(HasSubstr("given up after 2 attempts; the last: worker 'bob'")));
}

TEST_F(DispatcherRestartTest, NobodyCanHaveWhatIsNewOrMustWaitOrHasANumberThatCannotBe) {
  submit("greeting");
  submit("delayed", {.delay_ms = 60'000});
  restart();
  submit("new");
  ready("eve", 0, {held("greeting", 1'001), held("delayed", 1), held("new", 1)});
  finish("eve", "greeting", 1'001, "made up");
  finish("eve", "delayed", 1, "made up");
  finish("eve", "new", 1, "made up");
  for (const std::string job : {"greeting", "delayed", "new"}) EXPECT_EQ(fetch(job), job + " ready");
  EXPECT_EQ(dispatcher_->n_leased(), 0u);
}

TEST_F(DispatcherRestartTest, AResultThatComesRightAfterARestartIsTaken) {
  ready("ann", 1);
  submit("greeting");
  restart();
  finish("ann", "greeting", 1, "hello");
  EXPECT_EQ(fetch("greeting"), "greeting done, attempt 1: hello");
  pass(10s);
  EXPECT_EQ(dispatcher_->n_ready(), 0u);
}

TEST_F(DispatcherRestartTest, TheSameJournalGivesTheSameDecisions) {
  config_.restart_grace = 0ms;
  submit_all({"a1", "a2", "a3"}, {.client = "a"});
  submit_all({"b1", "b2"}, {.client = "b"});
  Lines first;
  for (int i = 0; i < 3; ++i) {
    restart();
    ready("ann", 2);
    ready("bob", 3);
    const Lines now = assignments();
    if (i == 0) first = now;
    EXPECT_EQ(now.size(), 5u);
    EXPECT_EQ(now, first);
  }
}

TEST_F(DispatcherRestartTest, FactsThatContradictEachOtherAreNoted) {
  Dispatcher dispatcher(config_);
  AcceptedFact accepted;
  accepted.sequence = 1;
  accepted.id = id("greeting");
  EXPECT_TRUE(dispatcher.replay(accepted, 0));
  accepted.sequence = 2;
  EXPECT_EQ(dispatcher.replay(accepted, 0).error().code, ErrorCode::kCorrupt);

  FinishedFact finished;
  finished.sequence = 3;
  finished.accepted = 1;
  finished.id = id("farewell");
  const auto replayed = dispatcher.replay(finished, 0);
  EXPECT_EQ(replayed.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(replayed.error().text,
              HasSubstr("fact 3: job " + id("farewell").to_string() + " finished without"));
}

}  // namespace
}  // namespace tandem::broker
