#include "worker/scheduler/scheduler.h"

#include <gmock/gmock.h>

#include <optional>

#include "tests/worker/scheduler/scheduler_play.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::SchedulerPlay;

class SchedulerTest : public ::testing::Test {
 protected:
  void make(SchedulerLimits limits) { play_.emplace(limits); }

  // Prompts of different sequences have nothing in common, unless tokens are given.
  Result<void> decode(SequenceId id, size_t n_prompt, size_t decode_max, Urgency urgency = Urgency::kBulk) {
    return play_->add(id, SchedulerPlay::own_tokens(id, n_prompt), decode_max, {}, urgency);
  }
  Result<void> score(SequenceId id, size_t n_prompt, std::vector<size_t> paths = {},
                     Urgency urgency = Urgency::kBulk) {
    return play_->add(id, SchedulerPlay::own_tokens(id, n_prompt), 0, std::move(paths), urgency);
  }
  // `n_begin` tokens that are the same for all, and then `n_own`.
  Result<void> score_alike(SequenceId id, size_t n_begin, size_t n_own, Urgency urgency = Urgency::kBulk) {
    engine::Tokens tokens = SchedulerPlay::own_tokens(0, n_begin);
    const engine::Tokens own = SchedulerPlay::own_tokens(id, n_own);
    tokens.insert(tokens.end(), own.begin(), own.end());
    return play_->add(id, std::move(tokens), 0, {}, urgency);
  }
  bool remove(SequenceId id) { return play_->remove(id); }

  // "1: prompt 0+100", "2: decode", "3: path 0 0+2 last"
  std::vector<std::string> step() {
    std::vector<std::string> said;
    for (const Piece& piece : play_->step()) {
      std::string text = std::to_string(piece.id) + ": ";
      if (piece.kind == Piece::Kind::kDecode) {
        said.push_back(text + "decode");
        continue;
      }
      text += piece.kind == Piece::Kind::kPath ? "path " + std::to_string(piece.path) + " " : "prompt ";
      text += std::to_string(piece.begin) + "+" + std::to_string(piece.n_tokens);
      said.push_back(text + (piece.last ? " last" : ""));
    }
    return said;
  }
  const Scheduler& scheduler() const { return play_->scheduler(); }

  std::optional<SchedulerPlay> play_ =
      SchedulerPlay({.n_blocks = 64, .sequences_max = 8, .batch_tokens_max = 100, .positions_max = 2000});
};

TEST_F(SchedulerTest, HasNothingToDoWhenNobodyAsked) {
  EXPECT_THAT(step(), IsEmpty());
}

TEST_F(SchedulerTest, RunsAPromptAndThenOneTokenAStep) {
  ASSERT_TRUE(decode(1, 10, 5));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+10 last"));
  EXPECT_THAT(step(), ElementsAre("1: decode"));
  EXPECT_THAT(step(), ElementsAre("1: decode"));
  EXPECT_TRUE(remove(1));
  EXPECT_THAT(step(), IsEmpty());
}

TEST_F(SchedulerTest, PutsPromptsOfManyIntoOneStep) {
  ASSERT_TRUE(score(1, 10));
  ASSERT_TRUE(decode(2, 20, 5));
  ASSERT_TRUE(score(3, 30));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+10 last", "2: prompt 0+20 last", "3: prompt 0+30 last"));
}

// Chunked prefill: whoever is being answered gets a token in every step, however long the newcomer's prompt.
TEST_F(SchedulerTest, NeverLetsADecodeWaitBehindALongPrompt) {
  ASSERT_TRUE(decode(1, 10, 50));
  step();
  ASSERT_TRUE(decode(2, 250, 5));
  EXPECT_THAT(step(), ElementsAre("1: decode", "2: prompt 0+99"));
  EXPECT_THAT(step(), ElementsAre("1: decode", "2: prompt 99+99"));
  EXPECT_THAT(step(), ElementsAre("1: decode", "2: prompt 198+52 last"));
  EXPECT_THAT(step(), ElementsAre("1: decode", "2: decode"));
}

TEST_F(SchedulerTest, RunsThePathsOfAScoringInTheStepAfterItsPrompt) {
  ASSERT_TRUE(score(1, 10, {2, 3}));
  ASSERT_TRUE(decode(2, 10, 5));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+10 last", "2: prompt 0+10 last"));
  ASSERT_TRUE(decode(3, 200, 5));
  EXPECT_THAT(step(), ElementsAre("2: decode", "1: path 0 0+2 last", "1: path 1 0+3 last", "3: prompt 0+94"));
}

TEST_F(SchedulerTest, CutsAPathThatDoesNotFitIntoAStep) {
  make({.n_blocks = 64, .sequences_max = 1, .batch_tokens_max = 4, .positions_max = 2000});
  ASSERT_TRUE(score(1, 2, {3, 3}));
  step();
  EXPECT_THAT(step(), ElementsAre("1: path 0 0+3 last", "1: path 1 0+1"));
  EXPECT_THAT(step(), ElementsAre("1: path 1 1+2 last"));
}

TEST_F(SchedulerTest, HoldsBackWhatDoesNotFitUntilSomebodyLeaves) {
  make({.n_blocks = 4, .sequences_max = 8, .batch_tokens_max = 100, .positions_max = 2000});
  ASSERT_TRUE(decode(1, 64, 32));  // three blocks of 32
  ASSERT_TRUE(decode(2, 33, 5));   // two
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+64 last"));
  EXPECT_EQ(scheduler().n_waiting(), 1u);
  EXPECT_THAT(step(), ElementsAre("1: decode"));
  remove(1);
  EXPECT_THAT(step(), ElementsAre("2: prompt 0+33 last"));
  EXPECT_EQ(scheduler().n_blocks_promised(), 0u) << "it has what it needs";
}

// A large one at the head would wait for ever if small ones could pass it whenever a block is free.
TEST_F(SchedulerTest, DoesNotLetASmallOnePassALargeOne) {
  make({.n_blocks = 4, .sequences_max = 8, .batch_tokens_max = 100, .positions_max = 2000});
  ASSERT_TRUE(decode(1, 32, 32));
  ASSERT_TRUE(decode(2, 90, 30));  // all four
  ASSERT_TRUE(score(3, 5));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+32 last"));
  EXPECT_THAT(step(), ElementsAre("1: decode"));
  remove(1);
  EXPECT_THAT(step(), ElementsAre("2: prompt 0+90 last"));
  remove(2);
  EXPECT_THAT(step(), ElementsAre("3: prompt 0+5 last"));
}

TEST_F(SchedulerTest, RunsNoMoreSideBySideThanAllowed) {
  make({.n_blocks = 64, .sequences_max = 2, .batch_tokens_max = 100, .positions_max = 2000});
  for (SequenceId id = 1; id <= 3; ++id) ASSERT_TRUE(decode(id, 4, 4));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+4 last", "2: prompt 0+4 last"));
  remove(2);
  EXPECT_THAT(step(), ElementsAre("1: decode", "3: prompt 0+4 last"));
}

TEST_F(SchedulerTest, RefusesOnlyTheOneThatCouldNeverRun) {
  make({.n_blocks = 4, .sequences_max = 8, .batch_tokens_max = 100, .positions_max = 2000});
  EXPECT_TRUE(decode(1, 118, 10));  // 128 tokens are exactly four blocks
  const Result<void> large = decode(2, 119, 10);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kTooLong);
  EXPECT_THAT(large.error().text, HasSubstr("4 KV blocks of 32 tokens"));
  EXPECT_THAT(large.error().text, HasSubstr("119 tokens"));
  EXPECT_TRUE(score(3, 5));
}

TEST_F(SchedulerTest, RefusesWhatIsLongerThanTheModelsPositions) {
  make({.n_blocks = 64, .sequences_max = 8, .batch_tokens_max = 100, .positions_max = 50});
  EXPECT_TRUE(decode(1, 40, 10));
  const Result<void> large = decode(2, 40, 11);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kTooLong);
  EXPECT_THAT(large.error().text, HasSubstr("at most 50 positions"));
}

TEST_F(SchedulerTest, RefusesAnEmptyPrompt) {
  const Result<void> empty = decode(1, 0, 10);
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, ErrorCode::kInvalid);
}

TEST_F(SchedulerTest, ForgetsACancelledOneWhereverItIs) {
  make({.n_blocks = 64, .sequences_max = 1, .batch_tokens_max = 100, .positions_max = 2000});
  ASSERT_TRUE(decode(1, 150, 4));
  ASSERT_TRUE(decode(2, 4, 4));
  ASSERT_TRUE(decode(3, 4, 4));
  step();
  EXPECT_TRUE(remove(2));  // still waiting
  EXPECT_TRUE(remove(1));  // in the middle of its prompt
  EXPECT_FALSE(remove(1));
  EXPECT_THAT(step(), ElementsAre("3: prompt 0+4 last"));
}

// A short prompt does not wait for a long one, and the long one goes on in every step.
TEST_F(SchedulerTest, SharesTheRoomBetweenPromptsOfAllLengths) {
  ASSERT_TRUE(score(1, 1000));
  ASSERT_TRUE(score(2, 300));
  for (SequenceId id = 3; id <= 6; ++id) ASSERT_TRUE(score(id, 20));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+25", "3: prompt 0+20 last", "4: prompt 0+20 last",
                                  "5: prompt 0+20 last", "6: prompt 0+15"));
  for (SequenceId id = 3; id <= 5; ++id) remove(id);
  EXPECT_THAT(step(), ElementsAre("1: prompt 25+25", "2: prompt 0+70", "6: prompt 15+5 last"));
}

TEST_F(SchedulerTest, GivesALongPromptAQuarterWhateverElseComes) {
  ASSERT_TRUE(score(1, 500));
  for (SequenceId id = 2; id <= 11; ++id) {
    ASSERT_TRUE(score(id, 75));
    EXPECT_THAT(step(), ElementsAre("1: prompt " + std::to_string((id - 2) * 25) + "+25",
                                    std::to_string(id) + ": prompt 0+75 last"));
    remove(id);
  }
}

TEST_F(SchedulerTest, TakesInteractiveOnesFirstInEveryStep) {
  ASSERT_TRUE(score(1, 500));
  ASSERT_TRUE(score(2, 20, {3}));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+80", "2: prompt 0+20 last"));
  ASSERT_TRUE(score(3, 90, {}, Urgency::kInteractive));
  ASSERT_TRUE(decode(4, 8, 5, Urgency::kInteractive));
  EXPECT_THAT(step(), ElementsAre("3: prompt 0+90 last", "4: prompt 0+8 last", "2: path 0 0+2"));
  remove(3);
  EXPECT_THAT(step(), ElementsAre("4: decode", "2: path 0 2+1 last", "1: prompt 80+98"));
}

TEST_F(SchedulerTest, LetsAnInteractiveOneInFirst) {
  make({.n_blocks = 64, .sequences_max = 1, .batch_tokens_max = 100, .positions_max = 2000});
  ASSERT_TRUE(score(1, 4));
  ASSERT_TRUE(score(2, 4));
  step();
  ASSERT_TRUE(score(3, 4, {}, Urgency::kInteractive));
  remove(1);
  EXPECT_THAT(step(), ElementsAre("3: prompt 0+4 last"));
  remove(3);
  EXPECT_THAT(step(), ElementsAre("2: prompt 0+4 last"));
}

// Interactive ones without end: bulk waits, but not for ever.
TEST_F(SchedulerTest, LetsBulkInWhenItWasPassedOftenEnough) {
  make({.n_blocks = 64, .sequences_max = 1, .batch_tokens_max = 100, .positions_max = 2000});
  ASSERT_TRUE(score(1, 4, {}, Urgency::kInteractive));
  ASSERT_TRUE(score(2, 4));
  size_t n_passed = 0;
  for (SequenceId id = 3;; ++id) {
    ASSERT_LT(id, 100u) << "bulk starves";
    ASSERT_TRUE(score(id, 4, {}, Urgency::kInteractive));
    const std::vector<std::string> said = step();
    ASSERT_EQ(said.size(), 1u);
    if (said[0] == "2: prompt 0+4 last") break;
    ++n_passed;
    remove(play_->running().front());
  }
  EXPECT_EQ(n_passed, Scheduler::kPatience);
}

TEST_F(SchedulerTest, LetsAPromptOfBulkGoOnWhenItWasLeftOutOftenEnough) {
  ASSERT_TRUE(score(1, 500));
  step();
  size_t n_left_out = 0;
  for (SequenceId id = 2;; ++id) {
    ASSERT_LT(id, 100u) << "bulk starves";
    ASSERT_TRUE(score(id, 100, {}, Urgency::kInteractive));
    const std::vector<std::string> said = step();
    if (said[0].starts_with("1:")) break;
    ++n_left_out;
    remove(id);
  }
  EXPECT_EQ(n_left_out, Scheduler::kPatience);
}

TEST_F(SchedulerTest, KeepsPlacesForInteractiveOnesWhenThereAreMany) {
  make({.n_blocks = 64, .sequences_max = 32, .batch_tokens_max = 100, .positions_max = 2000});
  for (SequenceId id = 1; id <= 40; ++id) ASSERT_TRUE(decode(id, 2, 20));
  step();
  EXPECT_EQ(scheduler().n_running(), 30u);
  for (SequenceId id = 41; id <= 43; ++id) ASSERT_TRUE(decode(id, 2, 20, Urgency::kInteractive));
  step();
  EXPECT_EQ(scheduler().n_running(), 32u);
}

// ---- what sequences share --------------------------------------------------------------------------------

TEST_F(SchedulerTest, ComputesOnlyWhatIsNotKnown) {
  ASSERT_TRUE(score_alike(1, 40, 10));
  step();
  remove(1);
  ASSERT_TRUE(score_alike(2, 40, 20));
  EXPECT_THAT(step(), ElementsAre("2: prompt 40+20 last"));
}

// Sixty-four jobs with one template at one moment: the template is computed once.
TEST_F(SchedulerTest, ComputesABeginningOnceWhenManyComeAtTheSameMoment) {
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

TEST_F(SchedulerTest, DoesNotWaitForAFewTokens) {
  ASSERT_TRUE(score_alike(1, Scheduler::kWaitTokensMin - 1, 10));
  ASSERT_TRUE(score_alike(2, Scheduler::kWaitTokensMin - 1, 10));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+25 last", "2: prompt 0+25 last"));
}

TEST_F(SchedulerTest, PassesOneThatWaitsForAnothersBeginning) {
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
TEST_F(SchedulerTest, HurriesABeginningThatOthersWaitFor) {
  ASSERT_TRUE(score(1, 400));
  ASSERT_TRUE(score_alike(2, 30, 600));
  ASSERT_TRUE(score_alike(3, 30, 10));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+70", "2: prompt 0+30"));
  EXPECT_THAT(step(), ElementsAre("1: prompt 70+90", "3: prompt 30+10 last"));
}

TEST_F(SchedulerTest, ComputesItItselfWhenTheOtherIsCancelled) {
  ASSERT_TRUE(score_alike(1, 300, 10));
  ASSERT_TRUE(score_alike(2, 300, 20));
  step();
  remove(1);
  EXPECT_THAT(step(), ElementsAre("2: prompt 100+100")) << "with what the other one had done";
}

// The interactive one would wait for somebody who may be left out of the next steps.
TEST_F(SchedulerTest, DoesNotLetAnInteractiveOneWaitForBulk) {
  ASSERT_TRUE(score_alike(1, 300, 10));
  step();
  ASSERT_TRUE(score_alike(2, 300, 20, Urgency::kInteractive));
  EXPECT_THAT(step(), ElementsAre("2: prompt 100+100"));
}

TEST_F(SchedulerTest, CountsSharedBlocksOnce) {
  make({.n_blocks = 8, .sequences_max = 8, .batch_tokens_max = 300, .positions_max = 2000});
  for (SequenceId id = 1; id <= 3; ++id) ASSERT_TRUE(score_alike(id, 160, 20));  // alone: six blocks each
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+180 last"));
  EXPECT_THAT(step(), ElementsAre("2: prompt 160+20 last", "3: prompt 160+20 last"));
  EXPECT_EQ(play_->kv().n_blocks_free(), 0u);
}

// Shared blocks that nobody holds are free until somebody shares them: counting them twice would promise
// more blocks than there are.
TEST_F(SchedulerTest, DoesNotPromiseAKnownBlockToTwo) {
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

TEST(BlocksNeeded, CountsForksWithoutThePromptsFullBlocks) {
  const engine::Tokens tokens(62);
  const auto prompt = [&](size_t n) { return std::span(tokens).first(n); };
  EXPECT_EQ(blocks_needed({.id = 1, .prompt = prompt(32), .decode_max = 0, .paths = {}}), 1u);
  EXPECT_EQ(blocks_needed({.id = 1, .prompt = prompt(32), .decode_max = 1, .paths = {}}), 2u);
  // 40 tokens: one full block and a begun one, which each fork copies.
  EXPECT_EQ(blocks_needed({.id = 1, .prompt = prompt(40), .decode_max = 0, .paths = {2, 2}}), 4u);
  // 62 tokens: a path of three goes on into a further block.
  EXPECT_EQ(blocks_needed({.id = 1, .prompt = prompt(62), .decode_max = 0, .paths = {3}}), 4u);
}

}  // namespace
}  // namespace tandem
