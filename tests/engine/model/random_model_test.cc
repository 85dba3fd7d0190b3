#include "worker/engine/model/random_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "shared/base/file.h"
#include "tests/engine/support/golden.h"
#include "tests/support/temp_dir.h"
#include "worker/engine/model/model.h"
#include "worker/engine/tensor/checkpoint.h"

namespace tandem::engine {
namespace {

using ::testing::HasSubstr;
using testing::must;
using testing::TempDir;

void write(const std::string& like, uint64_t seed, const std::filesystem::path& folder) {
  const auto written = write_random_model(like, seed, folder);
  ASSERT_TRUE(written) << written.error().text;
}

class RandomModelTest : public ::testing::TestWithParam<const char*> {};

TEST_P(RandomModelTest, WritesAModelThatLoadsAndWhoseNumbersAreSane) {
  const TempDir folder;
  write(GetParam(), 7, folder / "model");
  const auto model = must(Model::load(folder / "model", {.n_threads = 2}));
  EXPECT_EQ(model->config().end_tokens, (std::vector<TokenId>{1023, 1021}));

  KvCache kv = must(KvCache::create(model->kv_shape(), 8));
  KvSequence sequence = kv.make_sequence();
  Tokens tokens;
  for (TokenId id = 0; id < 100; ++id) tokens.push_back(id * 10);
  ASSERT_TRUE(kv.reserve(sequence, tokens.size()));
  const BatchRow row{&sequence, tokens, tokens.size()};
  Logits logits;
  model->forward({&row, 1}, kv, logits);

  double sum = 0, squares = 0;
  size_t n_echoes = 0;
  for (const float logit : logits.values) {
    ASSERT_TRUE(std::isfinite(logit));
    sum += logit;
    squares += static_cast<double>(logit) * logit;
  }
  for (size_t t = 0; t < tokens.size(); ++t) {
    const std::span<float> at = logits[t];
    n_echoes += std::max_element(at.begin(), at.end()) - at.begin() == tokens[t] ? 1 : 0;
  }
  const double n = static_cast<double>(logits.values.size());
  const double deviation = std::sqrt(squares / n - sum * sum / n / n);
  EXPECT_GT(deviation, 1.5);
  EXPECT_LT(deviation, 6);
  EXPECT_LT(n_echoes, tokens.size() / 2);  // it must not just repeat its input
}

INSTANTIATE_TEST_SUITE_P(Shapes, RandomModelTest, ::testing::Values("qwen2-tiny", "qwen3-tiny"),
                         [](const auto& one) { return std::string(one.param).substr(0, 5); });

TEST(RandomModelFolderTest, IsTheSameForASeedAndAnotherForAnother) {
  const TempDir folder;
  write("qwen2-tiny", 1, folder / "a");
  write("qwen2-tiny", 1, folder / "b");
  write("qwen2-tiny", 2, folder / "c");
  const auto weights = [&](const char* name) {
    return must(read_file(folder / name / "model.safetensors", 1u << 24));
  };
  EXPECT_EQ(weights("a"), weights("b"));
  EXPECT_NE(weights("a"), weights("c"));
  // Every machine's: a change of the generator would make figures of before and after hard to compare.
  EXPECT_EQ(must(Model::load(folder / "a", {}))->fingerprint(),
            must(Model::load(folder / "b", {}))->fingerprint());
}

// The tiny golden models have the same tensors as the tiny shapes here.
TEST(RandomModelFolderTest, HasTheTensorsOfARealFolder) {
  const TempDir folder;
  for (const auto& [like, golden] :
       {std::pair{"qwen2-tiny", "qwen2-tiny-f32"}, std::pair{"qwen3-tiny", "qwen3-tiny"}}) {
    write(like, 1, folder / like);
    const Checkpoint random = must(Checkpoint::open(folder / like));
    const Checkpoint real = must(Checkpoint::open(std::string(testing::kGoldenModels) + golden));
    ASSERT_EQ(random.tensors().size(), real.tensors().size());
    for (const auto& [name, entry] : real.tensors()) {
      ASSERT_NE(random.find(name), nullptr) << name;
      EXPECT_EQ(random.find(name)->tensor.shape, entry.tensor.shape) << name;
    }
  }
}

TEST(RandomModelFolderTest, TellsItsProgressToTheEnd) {
  const TempDir folder;
  uint64_t done = 0, all = 0;
  const auto written =
      write_random_model("qwen2-tiny", 1, folder.path(), [&](uint64_t n_done, uint64_t n_all) {
        EXPECT_GT(n_done, done);
        done = n_done;
        all = n_all;
      });
  ASSERT_TRUE(written);
  EXPECT_EQ(done, all);
  EXPECT_GT(all, 100'000u);
}

TEST(RandomModelFolderTest, WritesATokenizerThatFillsTheIdsUpToTheSpecialOnes) {
  const TempDir folder;
  write("qwen2-tiny", 1, folder.path());
  const auto tokenizer = nlohmann::json::parse(must(read_file(folder / "tokenizer.json", 1u << 20)));
  std::vector<int> ids;
  for (const auto& [spelling, id] : tokenizer.at("model").at("vocab").items()) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  ASSERT_EQ(ids.size(), 1021u);
  EXPECT_EQ(ids.front(), 0);
  EXPECT_EQ(ids.back(), 1020);
  EXPECT_EQ(tokenizer.at("added_tokens").at(2).at("content"), "<|im_end|>");
  EXPECT_EQ(tokenizer.at("added_tokens").at(2).at("id"), 1023);
}

TEST(RandomModelFolderTest, RefusesUnknownNamesAndFoldersWithAModel) {
  const TempDir folder;
  const auto unknown = write_random_model("gpt-5", 1, folder / "x");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(unknown.error().text, HasSubstr("qwen1.5-0.5b, "));
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));

  write("qwen2-tiny", 1, folder / "y");
  EXPECT_EQ(write_random_model("qwen2-tiny", 1, folder / "y").error().code, ErrorCode::kExists);
  EXPECT_EQ(write_random_model("qwen2-tiny", 1, "/proc/no").error().code, ErrorCode::kIo);
  EXPECT_EQ(random_model_names().size(), 11u);
}

}  // namespace
}  // namespace tandem::engine
