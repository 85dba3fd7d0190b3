#include "worker/scheduler/scheduler.h"

#include <gmock/gmock.h>

#include "tests/worker/scheduler/scheduler_fixture.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using SchedulerTest = testing::SchedulerFixture;

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

TEST_F(SchedulerTest, LetsAHurriedOneInBeforeOtherBulk) {
  make({.n_blocks = 64, .sequences_max = 1, .batch_tokens_max = 100, .positions_max = 2000});
  for (SequenceId id = 1; id <= 3; ++id) ASSERT_TRUE(score(id, 4));
  ASSERT_TRUE(score(4, 4, {}, Urgency::kInteractive));
  play_->hurry(3);
  play_->hurry(3);   // it is already
  play_->hurry(77);  // finished a moment ago
  EXPECT_THAT(step(), ElementsAre("4: prompt 0+4 last"));
  remove(4);
  EXPECT_THAT(step(), ElementsAre("3: prompt 0+4 last"));
  remove(3);
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+4 last"));
}

TEST_F(SchedulerTest, HurriesAlsoOneThatRuns) {
  ASSERT_TRUE(score(1, 500));
  ASSERT_TRUE(score(2, 500));
  EXPECT_THAT(step(), ElementsAre("1: prompt 0+100"));
  play_->hurry(2);
  EXPECT_THAT(step(), ElementsAre("2: prompt 0+100"));
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

// Guesses go into the step behind the token drawn last, as many as there is cheap room for.
TEST(SchedulerGuessesTest, AGuessTakesItsTokensAlong) {
  Scheduler scheduler({.n_blocks = 8, .sequences_max = 2, .batch_tokens_max = 6, .positions_max = 200});
  auto kv = engine::KvCache::create({.n_layers = 1, .n_kv_heads = 1, .d_head = 8}, 8);
  ASSERT_TRUE(kv);
  const engine::Tokens one{1, 2, 3}, other{4, 5, 6};
  ASSERT_TRUE(scheduler.add({.id = 1, .prompt = one, .decode_max = 40, .paths = {}}));
  ASSERT_EQ(scheduler.admit(*kv), 1u);
  EXPECT_EQ(scheduler.guesses_max(), 0u) << "its prompt comes first";
  scheduler.next_step();
  EXPECT_EQ(scheduler.guesses_max(), 5u) << "a step has room for six tokens";

  scheduler.guess(1, 4);
  auto step = scheduler.next_step();
  ASSERT_EQ(step.size(), 1u);
  EXPECT_EQ(step[0].n_tokens, 5u);
  scheduler.drew_more(1, 4);
  EXPECT_EQ(scheduler.next_step().at(0).n_tokens, 1u) << "a guess is for one step";

  ASSERT_TRUE(scheduler.add({.id = 2, .prompt = other, .decode_max = 40, .paths = {}}));
  ASSERT_EQ(scheduler.admit(*kv), 2u);
  scheduler.next_step();
  EXPECT_EQ(scheduler.guesses_max(), 2u) << "shared between two";
}

// What was drawn by guessing is no longer promised, so that others can be admitted as early as ever.
TEST(SchedulerGuessesTest, DrawnTokensAreNotPromisedTwice) {
  Scheduler scheduler({.n_blocks = 8, .sequences_max = 1, .batch_tokens_max = 64, .positions_max = 200});
  auto kv = engine::KvCache::create({.n_layers = 1, .n_kv_heads = 1, .d_head = 8}, 8);
  ASSERT_TRUE(kv);
  const engine::Tokens prompt(30, 1);
  ASSERT_TRUE(scheduler.add({.id = 1, .prompt = prompt, .decode_max = 40, .paths = {}}));
  ASSERT_EQ(scheduler.admit(*kv), 1u);
  scheduler.next_step();
  EXPECT_EQ(scheduler.n_blocks_promised(), 2u);
  scheduler.guess(1, 4);
  scheduler.next_step();
  scheduler.drew_more(1, 4);  // 30 and 5 computed: the second block is begun
  EXPECT_EQ(scheduler.n_blocks_promised(), 1u);
}

}  // namespace
}  // namespace tandem
