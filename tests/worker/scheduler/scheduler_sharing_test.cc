// Who waits for whose beginning, and what is promised when blocks are shared.

#include <gmock/gmock.h>

#include "tests/worker/scheduler/scheduler_fixture.h"
#include "worker/scheduler/scheduler.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using SchedulerSharingTest = testing::SchedulerFixture;

TEST_F(SchedulerSharingTest, ComputesOnlyWhatIsNotKnown) {
  ASSERT_TRUE(score_alike(1, 40, 10));
  step();
  remove(1);
  ASSERT_TRUE(score_alike(2, 40, 20));
  EXPECT_THAT(step(), ElementsAre("2: prompt 40+20 last"));
}

// Sixty-four jobs with one template at one moment: the template is computed once.
TEST_F(SchedulerSharingTest, ComputesABeginningOnceWhenManyComeAtTheSameMoment) {
  make({.n_blocks = 256, .sequences_max = 64, .batch_tokens_max = 512, .positions_max = 2000});
  for (SequenceId id = 1; id <= 64; ++id) ASSERT_TRUE(score_alike(id, 40, 10));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+50 last"));
  EXPECT_EQ(scheduler().n_waiting(), 63u);
  remove(1);
  size_t n_tokens = 50;
  while (scheduler().n_waiting() + scheduler().n_running() > 0) {
    for (const Piece& piece : play_->step()) {
      n_tokens += piece.n_tokens;
      if (piece.last) remove(piece.id);
    }
  }
  EXPECT_EQ(n_tokens, 40u + 64 * 10);
}

TEST_F(SchedulerSharingTest, DoesNotWaitForAFewTokens) {
  ASSERT_TRUE(score_alike(1, Scheduler::kWaitTokensMin - 1, 10));
  ASSERT_TRUE(score_alike(2, Scheduler::kWaitTokensMin - 1, 10));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+25 last", "2: prompt 0+25 last"));
}

TEST_F(SchedulerSharingTest, PassesOneThatWaitsForAnothersBeginning) {
  ASSERT_TRUE(score_alike(1, 300, 10));
  ASSERT_TRUE(score_alike(2, 300, 20));
  ASSERT_TRUE(score(3, 10));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+90", "3: prompt 0+10 last"));
  EXPECT_THAT(step(), ElementsAre("1: prompt 90+100"));
  EXPECT_THAT(step(), ElementsAre("1: prompt 190+100"));
  EXPECT_THAT(step(), ElementsAre("1: prompt 290+20 last"));
  EXPECT_THAT(step(), ElementsAre("2: prompt 300+20 last"));
}

// What others wait for comes before the rest of a long prompt.
TEST_F(SchedulerSharingTest, HurriesABeginningThatOthersWaitFor) {
  ASSERT_TRUE(score(1, 400));
  ASSERT_TRUE(score_alike(2, 30, 600));
  ASSERT_TRUE(score_alike(3, 30, 10));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+70", "2: prompt 0+30"));
  EXPECT_THAT(step(), ElementsAre("1: prompt 70+90", "3: prompt 30+10 last"));
}

TEST_F(SchedulerSharingTest, ComputesItItselfWhenTheOtherIsCancelled) {
  ASSERT_TRUE(score_alike(1, 300, 10));
  ASSERT_TRUE(score_alike(2, 300, 20));
  step();
  remove(1);
  EXPECT_THAT(step(), ElementsAre("2: prompt 100+100")) << "with what the other one had done";
}

// The interactive one would wait for somebody who may be left out of the next steps.
TEST_F(SchedulerSharingTest, DoesNotLetAnInteractiveOneWaitForBulk) {
  ASSERT_TRUE(score_alike(1, 300, 10));
  step();
  ASSERT_TRUE(score_alike(2, 300, 20, Urgency::kInteractive));
  EXPECT_THAT(step(), ElementsAre("2: prompt 100+100"));
}

TEST_F(SchedulerSharingTest, CountsSharedBlocksOnce) {
  make({.n_blocks = 8, .sequences_max = 8, .batch_tokens_max = 300, .positions_max = 2000});
  for (SequenceId id = 1; id <= 3; ++id) ASSERT_TRUE(score_alike(id, 160, 20));  // alone: six blocks each
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+180 last"));
  EXPECT_THAT(step(), ElementsAre("2: prompt 160+20 last", "3: prompt 160+20 last"));
  EXPECT_EQ(play_->kv().n_blocks_free(), 0u);
}

// Shared blocks that nobody holds are free until somebody shares them: counting them twice would promise
// more blocks than there are.
TEST_F(SchedulerSharingTest, DoesNotPromiseAKnownBlockToTwo) {
  make({.n_blocks = 6, .sequences_max = 8, .batch_tokens_max = 300, .positions_max = 2000});
  ASSERT_TRUE(score_alike(1, 96, 1));
  step();
  remove(1);
  ASSERT_TRUE(decode(2, 32, 90));      // four blocks: all that are not known
  ASSERT_TRUE(score_alike(3, 96, 5));  // shares three, needs one
  step();
  EXPECT_EQ(scheduler().n_running(), 1u);
  remove(2);
  EXPECT_THAT(step(), ElementsAre(HasSubstr("3: prompt")));
}

}  // namespace
}  // namespace tandem
