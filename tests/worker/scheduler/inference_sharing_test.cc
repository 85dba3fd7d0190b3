// What one sequence computed, another one need not: counted in tokens, and compared in bits.

#include <gmock/gmock.h>

#include "tests/worker/scheduler/inference_loop_fixture.h"
#include "worker/scheduler/inference_loop.h"

namespace tandem {
namespace {

using testing::GoldenDecode;
using ::testing::IsEmpty;
using InferenceSharingTest = testing::InferenceLoopFixture;

// Keys and values that others computed are as good as one's own.
TEST_F(InferenceSharingTest, SaysTheSameWhenTheBeginningIsKnown) {
  for (const GoldenDecode& golden : tiny_.decodes) {
    SCOPED_TRACE(golden.name);
    done_.clear();
    decode(1, golden.prompt, greedy(32));
    run_until_idle();
    decode(2, golden.prompt, greedy(32));
    run_until_idle();
    EXPECT_EQ(done(2).text, text_of(golden.tokens));
    EXPECT_EQ(done(2).cached_tokens, golden.prompt.size() - 1) << "the last one is computed for its logits";
    EXPECT_EQ(done(2).computed_tokens, 1u + 31);
    EXPECT_EQ(done(1).cached_tokens + done(1).computed_tokens, golden.prompt.size() + 31);
  }
}

// What was answered is the beginning of the conversation's next turn.
TEST_F(InferenceSharingTest, KnowsItsOwnAnswersWhenTheConversationGoesOn) {
  const GoldenDecode& golden = tiny_.find("p6");
  decode(1, golden.prompt, greedy(20));
  run_until_idle();
  engine::Tokens longer = golden.prompt;
  longer.insert(longer.end(), golden.tokens.begin(), golden.tokens.begin() + 20);
  decode(2, longer, greedy(12));
  run_until_idle();
  EXPECT_EQ(done(2).cached_tokens, golden.prompt.size() + 19);
  EXPECT_EQ(done(2).text, text_of({golden.tokens.begin() + 20, golden.tokens.end()}));
}

TEST_F(InferenceSharingTest, ScoresTheSameBehindASharedBeginning) {
  const engine::Tokens& prompt = tiny_.find("p7").prompt;  // 300 tokens
  const ScoreWork work{{{}, {11, 12}, {13}}, {{1, 2, 3}, {4, 5}, {6}}};
  for (SequenceId id = 1; id <= 4; ++id) {
    engine::Tokens own = prompt;
    own.push_back(static_cast<engine::TokenId>(id / 3));  // two and two are equal
    score(id, own, work);
  }
  run_until_idle();
  for (const SequenceId id : {2, 4}) {
    EXPECT_GE(done(id).cached_tokens, 300u);
    for (size_t path = 0; path < 3; ++path) {
      for (size_t i = 0; i < work.wanted[path].size(); ++i) {
        EXPECT_EQ(done(id).scores[path][i], done(id - 1).scores[path][i]) << id << " path " << path;
      }
    }
  }
}

// The promise that makes caches and retries honest: what a sequence is computed beside, after or with the
// help of does not show in its answer.
TEST_F(InferenceSharingTest, SharesWithoutChangingABit) {
  const engine::Tokens& text = tiny_.find("p7").prompt;
  const ScoreWork work{{{}, {11, 12}}, {{1, 2, 3}, {4, 5}}};
  std::vector<engine::Tokens> prompts;
  for (size_t i = 1; i <= 30; ++i) {  // each leaves the common text at a place of its own
    engine::Tokens& prompt = prompts.emplace_back(text.begin(), text.begin() + static_cast<ptrdiff_t>(i * 9));
    for (size_t own = 0; own < 5 + i % 7; ++own) prompt.push_back(static_cast<engine::TokenId>(300 + i));
  }
  std::vector<std::vector<std::vector<float>>> alone;
  for (const engine::Tokens& prompt : prompts) {
    make({.n_blocks = 64, .sequences_max = 1, .batch_tokens_max = 512, .positions_max = 4096});
    done_.clear();
    score(1, prompt, work);
    run_until_idle();
    EXPECT_EQ(done(1).cached_tokens, 0u);
    alone.push_back(done(1).scores);
  }
  make({.n_blocks = 64, .sequences_max = 7, .batch_tokens_max = 40, .positions_max = 4096});
  done_.clear();
  for (size_t i = 0; i < prompts.size(); ++i) score(i + 1, prompts[i], work);
  run_until_idle();
  for (size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(done(i + 1).scores, alone[i]) << "prompt " << i;
  EXPECT_GT(loop_->counters().cached_tokens, loop_->counters().prompt_tokens / 2) << "they did share";
}

TEST_F(InferenceSharingTest, ComputesABeginningOnceHoweverManyComeAtOnce) {
  engine::Tokens begin = tiny_.find("p7").prompt;
  begin.resize(75);
  for (SequenceId id = 1; id <= 64; ++id) {
    engine::Tokens prompt = begin;
    for (int i = 0; i < 10; ++i) prompt.push_back(static_cast<engine::TokenId>(200 + id));
    score(id, prompt, ScoreWork{{{}}, {{1}}});
  }
  run_until_idle();
  ASSERT_EQ(done_.size(), 64u);
  EXPECT_EQ(loop_->counters().computed_tokens, 75u + 64 * 10);
  EXPECT_EQ(loop_->counters().prompt_tokens, 64u * 85);
  EXPECT_EQ(loop_->counters().cached_tokens, 63u * 75);
}

TEST_F(InferenceSharingTest, ComputesABeginningBeforeAnybodyAsksAndSaysNothingOfIt) {
  engine::Tokens begin = tiny_.find("p7").prompt;
  begin.resize(45);
  inbox_.push(PrimePrefix{begin});
  inbox_.push(PrimePrefix{begin});
  inbox_.push(PrimePrefix{{99'999}});              // unknown to the model
  inbox_.push(PrimePrefix{engine::Tokens(9000)});  // more than fits
  inbox_.push(PrimePrefix{{}});
  run_until_idle();
  EXPECT_THAT(done_, IsEmpty());
  EXPECT_EQ(loop_->counters().primed_tokens, 45u + 1);

  engine::Tokens prompt = begin;
  prompt.insert(prompt.end(), {1, 2, 3, 4, 5});
  decode(1, prompt, greedy(1));
  run_until_idle();
  EXPECT_EQ(done(1).cached_tokens, 45u);
  EXPECT_EQ(done(1).computed_tokens, 5u);
}

TEST_F(InferenceSharingTest, FindsWhatACancelledOneHadComputed) {
  make({.n_blocks = 64, .sequences_max = 4, .batch_tokens_max = 64, .positions_max = 4096});
  const engine::Tokens& prompt = tiny_.find("p7").prompt;
  decode(1, prompt, greedy(4));
  loop_->step();
  loop_->step();
  inbox_.push(CancelSequence{1});
  decode(2, prompt, greedy(4));
  run_until_idle();
  EXPECT_EQ(done(2).cached_tokens, 128u);
}

}  // namespace
}  // namespace tandem
