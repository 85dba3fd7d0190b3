// bf16 weights: where they are the checkpoint's own, and where they are rounded.

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "tests/engine/support/golden.h"
#include "tests/engine/support/model_copy.h"
#include "tests/engine/support/random_values.h"
#include "tests/engine/support/simds.h"
#include "worker/engine/model/model.h"

namespace tandem::engine {
namespace {

using testing::Golden;
using testing::GoldenCase;
using testing::must;

// Logits of all positions of all prompts.
std::vector<float> all_logits(const std::filesystem::path& folder, ComputeType compute,
                              const Golden& golden) {
  const auto model = must(Model::load(folder, {.n_threads = 1, .compute = compute}));
  KvCache kv = must(KvCache::create(model->kv_shape(), 64));
  std::vector<float> all;
  for (const GoldenCase& one : golden.cases()) {
    KvSequence sequence = kv.make_sequence();
    EXPECT_TRUE(kv.reserve(sequence, one.tokens.size()));
    const BatchRow row{&sequence, one.tokens, one.tokens.size()};
    Logits logits;
    model->forward({&row, 1}, kv, logits);
    all.insert(all.end(), logits.values.begin(), logits.values.end());
  }
  return all;
}

TEST(Bf16Test, GivesTheBitsOfF32WhereTheCheckpointHoldsBf16) {
  for (const char* name : {"qwen2-gqa", "qwen3-hd128", "qwen2-tiny-f32"}) {
    const std::string folder = std::string(testing::kGoldenModels) + name;
    const Golden golden = Golden::load(name);
    EXPECT_TRUE(testing::same_bits(all_logits(folder, ComputeType::kBf16, golden),
                                   all_logits(folder, ComputeType::kF32, golden)))
        << name;
  }
}

// Finer weights than bf16 can hold are rounded, and then the answers differ, but not by more than they may.
TEST(Bf16Test, RoundsFinerWeightsWithinItsTolerance) {
  const testing::ModelCopy copy("qwen2-tiny-f32");
  std::string file = copy.read("model.safetensors");
  uint64_t n_header = 0;
  std::memcpy(&n_header, file.data(), sizeof n_header);
  testing::RandomValues random(14);
  for (size_t at = 8 + n_header; at + sizeof(float) <= file.size(); at += sizeof(float)) {
    float weight = 0;
    std::memcpy(&weight, &file[at], sizeof weight);
    weight *= 1 + static_cast<float>(random.below(1000)) / 1000 / 256;
    std::memcpy(&file[at], &weight, sizeof weight);
  }
  copy.write("model.safetensors", file);
  const Golden golden = Golden::load("qwen2-tiny-f32");
  const std::vector<float> f32 = all_logits(copy.path(), ComputeType::kF32, golden);
  const std::vector<float> bf16 = all_logits(copy.path(), ComputeType::kBf16, golden);
  EXPECT_WITHIN(bf16, f32, testing::kBf16Tolerance);
  EXPECT_GT(testing::compare(bf16, f32).nrms, testing::kFloatTolerance.nrms);
}

}  // namespace
}  // namespace tandem::engine
