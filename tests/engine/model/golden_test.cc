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

struct Way {
  const char* name;
  ComputeType compute;
  KvType kv;
  testing::Tolerance tolerance;
};
void PrintTo(const Way& way, std::ostream* out) {
  *out << way.name;
}
// The checkpoints hold bf16 numbers (the f32 one, too), so bf16 rounds nothing and is held to what f32 is
// held to.
constexpr Way kWays[] = {
    {"f32", ComputeType::kF32, KvType::kF32, testing::kFloatTolerance},
    {"bf16", ComputeType::kBf16, KvType::kF32, testing::kFloatTolerance},
    {"q8", ComputeType::kQ8, KvType::kF32, testing::kQ8Tolerance},
    {"f32_kv16", ComputeType::kF32, KvType::kF16, testing::kKv16Tolerance},
    {"q8_kv16", ComputeType::kQ8, KvType::kF16, testing::kQ8Tolerance},
};

class GoldenModelTest : public ::testing::TestWithParam<std::tuple<const char*, Way>> {
 protected:
  // Two threads, so that slices and waiting are part of every test, also on a machine with one core.
  GoldenModelTest()
      : golden_(Golden::load(std::get<0>(GetParam()))),
        model_(must(Model::load(std::string(testing::kGoldenModels) + std::get<0>(GetParam()),
                                {.n_threads = 2, .compute = way().compute}))),
        kv_(must(KvCache::create(model_->kv_shape(way().kv), 64))) {}

  static Way way() { return std::get<1>(GetParam()); }
  static testing::Tolerance tolerance() { return way().tolerance; }

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

  // The same tokens, up to a choice that is too close for this way of computing to hold.
  static void expect_greedy(const Tokens& found, const GoldenCase& one) {
    ASSERT_EQ(found.size(), one.greedy_32.size());
    const auto differs = std::mismatch(found.begin(), found.end(), one.greedy_32.begin()).first;
    if (differs == found.end()) return;
    const size_t i = static_cast<size_t>(differs - found.begin());
    EXPECT_LT(one.greedy_margins[i], tolerance().margin)
        << one.name << ": token " << i << " is " << found[i] << ", recorded is " << one.greedy_32[i];
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
    EXPECT_WITHIN(logits[0], golden_.array(one.name + ".last_logits").values, tolerance());
    EXPECT_EQ(sequence.n_tokens(), one.tokens.size());
  }
}

TEST_P(GoldenModelTest, GivesTheLogitsOfAllPositionsWhenTheyAreWanted) {
  for (const char* name : {"p3", "p5"}) {
    SCOPED_TRACE(name);
    KvSequence sequence = kv_.make_sequence();
    const Logits logits = step(sequence, golden_.find(name).tokens, kAllLogits);
    EXPECT_WITHIN(logits.values, golden_.array(std::string(name) + ".all_logits").values, tolerance());
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
  EXPECT_WITHIN(selected, golden_.array("p7.sel_logits").values, tolerance());
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
  EXPECT_WITHIN(all, golden_.array("p2.hidden_states").values, tolerance());
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
    EXPECT_WITHIN(std::span(hidden.back()).last(d_model), golden_.array(one.name + ".last_hidden").values,
                  tolerance());
    EXPECT_WITHIN(mean, golden_.array(one.name + ".mean_hidden").values, tolerance());
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
    expect_greedy(generated, one);
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
    EXPECT_WITHIN(logits[i], golden_.array(cases[i].name + ".last_logits").values, tolerance());
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
  for (size_t i = 0; i < cases.size(); ++i) expect_greedy(generated[i], cases[i]);
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
  if (drawn == decoding.greedy_32[0] && decoding.greedy_margins[1] >= tolerance().margin) {
    EXPECT_EQ(best(logits[0]), decoding.greedy_32[1]);
  }
  EXPECT_WITHIN(logits[1], golden_.array("p6.last_logits").values, tolerance());
  EXPECT_WITHIN(std::span(logits.values).subspan(logits.places[2].begin),
                golden_.array("p5.all_logits").values, tolerance());
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
    EXPECT_WITHIN(logits[0], golden_.array("p6.last_logits").values, tolerance());
  }
}

// What a prefix cache does: the beginning is computed once, in the middle of a block, and continued twice.
TEST_P(GoldenModelTest, ContinuesAForkedPrefixLikeTheWholePrompt) {
  const GoldenCase& one = golden_.find("p6");
  KvSequence first = kv_.make_sequence();
  step(first, one.tokens);
  KvSequence second = must(kv_.fork(first, 77));
  Logits logits = step(second, std::span(one.tokens).subspan(77));
  EXPECT_WITHIN(logits[0], golden_.array("p6.last_logits").values, tolerance());

  kv_.truncate(first, 40);  // inside a block that `second` shares
  step(first, golden_.find("p5").tokens);
  kv_.truncate(second, 126);
  logits = step(second, std::span(one.tokens).last(1));
  EXPECT_WITHIN(logits[0], golden_.array("p6.last_logits").values, tolerance());
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenModelTest,
                         ::testing::Combine(::testing::Values("qwen2-tiny-f32", "qwen2-tiny-bf16",
                                                              "qwen2-hd64", "qwen2-gqa", "qwen3-tiny",
                                                              "qwen3-hd128"),
                                            ::testing::ValuesIn(kWays)),
                         [](const auto& one) {
                           std::string name =
                               std::string(std::get<0>(one.param)) + "_" + std::get<1>(one.param).name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tandem::engine
