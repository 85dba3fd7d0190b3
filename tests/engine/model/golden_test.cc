// The models against what the official implementation computes from the same files (data/golden).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/engine/support/golden.h"
#include "worker/engine/model/model.h"

namespace tandem::engine {
namespace {

using testing::Golden;
using testing::GoldenCase;
using testing::must;

constexpr size_t kAllLogits = SIZE_MAX;

class GoldenModelTest : public ::testing::TestWithParam<const char*> {
 protected:
  // Two threads, so that slices and waiting are part of every test, also on a machine with one core.
  GoldenModelTest()
      : golden_(Golden::load(GetParam())),
        model_(must(Model::load(std::string(testing::kGoldenModels) + GetParam(), {.n_threads = 2}))),
        kv_(must(KvCache::create(model_->kv_shape(), 64))) {}

  // Runs `tokens` behind what `sequence` holds; logits of the last `n_logits`.
  Logits step(KvSequence& sequence, std::span<const TokenId> tokens, size_t n_logits = 1) {
    EXPECT_TRUE(kv_.reserve(sequence, tokens.size()));
    Logits logits;
    const BatchRow row{&sequence, tokens, std::min(n_logits, tokens.size())};
    model_->forward({&row, 1}, kv_, logits);
    return logits;
  }

  static TokenId best(std::span<const float> logits) {
    return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }

  Golden golden_;
  std::unique_ptr<Model> model_;
  KvCache kv_;
};

TEST_P(GoldenModelTest, GivesTheLogitsAfterEachPrompt) {
  for (const GoldenCase& one : golden_.cases()) {
    SCOPED_TRACE(one.name);
    KvSequence sequence = kv_.make_sequence();
    Logits logits = step(sequence, one.tokens);
    EXPECT_GOLDEN(logits[0], golden_.array(one.name + ".last_logits").values);
    EXPECT_EQ(sequence.n_tokens(), one.tokens.size());
  }
}

TEST_P(GoldenModelTest, GivesTheLogitsOfAllPositionsWhenTheyAreWanted) {
  for (const char* name : {"p3", "p5"}) {
    SCOPED_TRACE(name);
    KvSequence sequence = kv_.make_sequence();
    const Logits logits = step(sequence, golden_.find(name).tokens, kAllLogits);
    EXPECT_GOLDEN(logits.values, golden_.array(std::string(name) + ".all_logits").values);
  }
}

// 300 tokens are more than one tile of queries and more than one block of keys, everywhere.
TEST_P(GoldenModelTest, GivesTheLogitsOfALongPromptAtSelectedPositions) {
  const GoldenCase& one = golden_.find("p7");
  KvSequence sequence = kv_.make_sequence();
  Logits logits = step(sequence, one.tokens, kAllLogits);
  ASSERT_EQ(logits.size(), one.tokens.size());
  std::vector<float> selected;
  for (const size_t position : one.sel_positions) {
    selected.insert(selected.end(), logits[position].begin(), logits[position].end());
  }
  EXPECT_GOLDEN(selected, golden_.array("p7.sel_logits").values);
}

TEST_P(GoldenModelTest, GivesTheHiddenStatesAfterEachLayer) {
  const GoldenCase& one = golden_.find("p2");
  KvSequence sequence = kv_.make_sequence();
  ASSERT_TRUE(kv_.reserve(sequence, one.tokens.size()));
  const BatchRow row{&sequence, one.tokens, 0};
  Logits logits;
  std::vector<std::vector<float>> hidden;
  model_->forward_with_hidden({&row, 1}, kv_, logits, hidden);

  ASSERT_EQ(hidden.size(), model_->config().n_layers + 1);
  EXPECT_EQ(logits.size(), 0u);
  std::vector<float> all;
  for (const std::vector<float>& layer : hidden) all.insert(all.end(), layer.begin(), layer.end());
  EXPECT_GOLDEN(all, golden_.array("p2.hidden_states").values);
}

TEST_P(GoldenModelTest, GivesTheLastHiddenStateAndTheMeanThatEmbeddersUse) {
  for (const GoldenCase& one : golden_.cases()) {
    SCOPED_TRACE(one.name);
    KvSequence sequence = kv_.make_sequence();
    ASSERT_TRUE(kv_.reserve(sequence, one.tokens.size()));
    const BatchRow row{&sequence, one.tokens, 0};
    Logits logits;
    std::vector<std::vector<float>> hidden;
    model_->forward_with_hidden({&row, 1}, kv_, logits, hidden);

    const size_t d_model = model_->config().d_model;
    std::vector<float> mean(d_model);
    for (size_t i = 0; i < hidden.back().size(); ++i) {
      mean[i % d_model] += hidden.back()[i] / static_cast<float>(one.tokens.size());
    }
    EXPECT_GOLDEN(std::span(hidden.back()).last(d_model), golden_.array(one.name + ".last_hidden").values);
    EXPECT_GOLDEN(mean, golden_.array(one.name + ".mean_hidden").values);
  }
}

TEST_P(GoldenModelTest, FollowsTheGreedyPathOfEachPromptThroughItsCache) {
  for (const GoldenCase& one : golden_.cases()) {
    KvSequence sequence = kv_.make_sequence();
    Logits logits = step(sequence, one.tokens);
    Tokens generated;
    for (size_t i = 0; i < one.greedy_32.size(); ++i) {
      generated.push_back(best(logits[0]));
      logits = step(sequence, {&generated.back(), 1});
    }
    EXPECT_EQ(generated, one.greedy_32) << one.name;
  }
}

// All prompts in one batch, then all decoding together: everyone gets what they get alone.
TEST_P(GoldenModelTest, GivesEachRowOfARaggedBatchItsOwnResult) {
  const std::vector<GoldenCase>& cases = golden_.cases();
  std::vector<KvSequence> sequences;
  std::vector<BatchRow> batch;
  for (const GoldenCase& one : cases) {
    sequences.push_back(kv_.make_sequence());
    ASSERT_TRUE(kv_.reserve(sequences.back(), one.tokens.size()));
  }
  for (size_t i = 0; i < cases.size(); ++i) batch.push_back({&sequences[i], cases[i].tokens, 1});
  Logits logits;
  model_->forward(batch, kv_, logits);
  ASSERT_EQ(logits.size(), cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_GOLDEN(logits[i], golden_.array(cases[i].name + ".last_logits").values);
  }

  std::vector<Tokens> generated(cases.size());
  for (size_t step = 0; step < 32; ++step) {
    for (size_t i = 0; i < cases.size(); ++i) generated[i].push_back(best(logits[i]));
    batch.clear();
    for (size_t i = 0; i < cases.size(); ++i) {
      ASSERT_TRUE(kv_.reserve(sequences[i], 1));
      batch.push_back({&sequences[i], {&generated[i].back(), 1}, 1});
    }
    model_->forward(batch, kv_, logits);
  }
  for (size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(generated[i], cases[i].greedy_32) << cases[i].name;
}

// A step of continuous batching: one sequence decodes, another is in the middle of its prompt, a third
// begins.
TEST_P(GoldenModelTest, MixesDecodingWithPiecesOfPromptsInOneStep) {
  const GoldenCase& decoding = golden_.find("p4");
  const GoldenCase& halfway = golden_.find("p6");
  const GoldenCase& fresh = golden_.find("p5");
  KvSequence a = kv_.make_sequence(), b = kv_.make_sequence(), c = kv_.make_sequence();
  const TokenId drawn = best(step(a, decoding.tokens)[0]);
  step(b, std::span(halfway.tokens).first(50), 0);

  const std::span<const TokenId> rest = std::span(halfway.tokens).subspan(50);
  ASSERT_TRUE(kv_.reserve(a, 1));
  ASSERT_TRUE(kv_.reserve(b, rest.size()));
  ASSERT_TRUE(kv_.reserve(c, fresh.tokens.size()));
  const BatchRow batch[] = {{&a, {&drawn, 1}, 1}, {&b, rest, 1}, {&c, fresh.tokens, fresh.tokens.size()}};
  Logits logits;
  model_->forward(batch, kv_, logits);

  ASSERT_EQ(logits.size(), 2 + fresh.tokens.size());
  EXPECT_EQ(best(logits[0]), decoding.greedy_32[1]);
  EXPECT_GOLDEN(logits[1], golden_.array("p6.last_logits").values);
  EXPECT_GOLDEN(std::span(logits.values).subspan(logits.places[2].begin),
                golden_.array("p5.all_logits").values);
}

TEST_P(GoldenModelTest, GivesTheSameForAPromptInPieces) {
  const GoldenCase& one = golden_.find("p6");
  for (const size_t n_piece : {1, 7, 31, 32, 33, 64}) {
    SCOPED_TRACE(n_piece);
    KvSequence sequence = kv_.make_sequence();
    Logits logits;
    for (size_t begin = 0; begin < one.tokens.size(); begin += n_piece) {
      logits =
          step(sequence, std::span(one.tokens).subspan(begin, std::min(n_piece, one.tokens.size() - begin)));
    }
    EXPECT_GOLDEN(logits[0], golden_.array("p6.last_logits").values);
  }
}

// What a prefix cache does: the beginning is computed once, in the middle of a block, and continued twice.
TEST_P(GoldenModelTest, ContinuesAForkedPrefixLikeTheWholePrompt) {
  const GoldenCase& one = golden_.find("p6");
  KvSequence first = kv_.make_sequence();
  step(first, one.tokens);
  KvSequence second = must(kv_.fork(first, 77));
  Logits logits = step(second, std::span(one.tokens).subspan(77));
  EXPECT_GOLDEN(logits[0], golden_.array("p6.last_logits").values);

  kv_.truncate(first, 40);  // inside a block that `second` shares
  step(first, golden_.find("p5").tokens);
  kv_.truncate(second, 126);
  logits = step(second, std::span(one.tokens).last(1));
  EXPECT_GOLDEN(logits[0], golden_.array("p6.last_logits").values);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenModelTest,
                         ::testing::Values("qwen2-tiny-f32", "qwen2-tiny-bf16", "qwen2-hd64", "qwen2-gqa",
                                           "qwen3-tiny", "qwen3-hd128"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tandem::engine
