#include "worker/engine/sampler/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "shared/base/file.h"

namespace tandem::engine {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
using Logits = std::vector<float>;

std::vector<TokenId> ids_of(const std::vector<Candidate>& candidates) {
  std::vector<TokenId> ids;
  for (const Candidate& candidate : candidates) ids.push_back(candidate.id);
  return ids;
}

std::vector<Candidate> candidates(const SamplerSettings& settings, Logits logits,
                                  const Tokens& history = {}) {
  return Sampler(settings).candidates(logits, history);
}

std::map<std::string, Logits> read_arrays(const std::string& path) {
  const auto file = read_file(path, 1u << 20);
  EXPECT_TRUE(file) << (file ? "" : file.error().text);
  uint64_t n_header = 0;
  std::memcpy(&n_header, file->data(), sizeof n_header);
  const auto header = nlohmann::json::parse(file->substr(8, n_header));
  std::map<std::string, Logits> arrays;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const size_t first = entry["data_offsets"][0], last = entry["data_offsets"][1];
    arrays[name].resize((last - first) / sizeof(float));
    std::memcpy(arrays[name].data(), file->data() + 8 + n_header + first, last - first);
  }
  return arrays;
}

TEST(SamplerTest, AgreesWithTheReferenceOnWhatMayBeDrawn) {
  const auto golden = nlohmann::json::parse(*read_file("data/golden/golden/sampler.json", 4u << 20));
  const auto arrays = read_arrays("data/golden/golden/sampler.safetensors");
  ASSERT_EQ(golden["cases"].size(), 183u);
  for (const auto& c : golden["cases"]) {
    SCOPED_TRACE(c["case"].get<std::string>());
    const auto& params = c["params"];
    SamplerSettings settings;
    settings.temperature = params.value("temperature", 1.0);
    settings.top_k = params.value("top_k", 0u);
    settings.top_p = params.value("top_p", 1.0);
    settings.min_p = params.value("min_p", 0.0);
    settings.repetition_penalty = params.value("repetition_penalty", 1.0);
    settings.no_repeat_ngram = params.value("no_repeat_ngram_size", 0u);
    const auto name = c["logits"].get<std::string>();
    auto kept = candidates(settings, arrays.at(name), golden["history"][name].get<Tokens>());

    EXPECT_TRUE(std::is_sorted(kept.begin(), kept.end(), [](const Candidate& a, const Candidate& b) {
      return a.probability > b.probability;
    }));
    std::sort(kept.begin(), kept.end(), [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
    std::map<TokenId, double> expected;
    const auto& ids = c["kept_ids"];
    for (size_t i = 0; i < ids.size(); ++i)
      expected[ids[i].get<TokenId>()] = c["probs_of_kept"][i].get<double>();
    ASSERT_EQ(kept.size(), expected.size());
    for (const Candidate& candidate : kept) {
      ASSERT_TRUE(expected.contains(candidate.id)) << candidate.id;
      ASSERT_NEAR(candidate.probability, expected[candidate.id], 1e-5) << candidate.id;
    }
  }
}

TEST(SamplerTest, IsGreedyAtTemperatureZeroAndTakesTheFirstOfEquals) {
  SamplerSettings settings;
  settings.top_k = 3;
  settings.top_p = 0.5;
  EXPECT_THAT(ids_of(candidates(settings, {1, 5, 5, 2})), ::testing::ElementsAre(1));
  Logits logits = {1, 5, 5, 2};
  EXPECT_EQ(Sampler(settings).next(logits, {}), 1);
}

TEST(SamplerTest, PenalisesATokenOnceHoweverOftenItWasThere) {
  SamplerSettings settings;
  settings.temperature = 1;
  settings.repetition_penalty = 2;
  Logits logits = {4, -4, 1};
  Sampler(settings).candidates(logits, Tokens{0, 0, 1, 1, 1, -3, 77});
  EXPECT_EQ(logits, (Logits{2, -8, 1}));
}

TEST(SamplerTest, BansTheTokenThatWouldRepeatAnNgram) {
  SamplerSettings settings;
  settings.no_repeat_ngram = 3;
  const Tokens history = {1, 2, 3, 1, 2};
  EXPECT_THAT(ids_of(candidates(settings, {0, 1, 2, 9}, history)), ::testing::ElementsAre(2));
  // One token before, there was nothing to repeat.
  EXPECT_THAT(ids_of(candidates(settings, {0, 1, 2, 9}, {1, 2, 3, 1})), ::testing::ElementsAre(3));
  settings.no_repeat_ngram = UINT32_MAX;
  EXPECT_THAT(ids_of(candidates(settings, {0, 1, 2, 9}, history)), ::testing::ElementsAre(3));
}

TEST(SamplerTest, KeepsAllThatTieAtTheBorderOfTopK) {
  SamplerSettings settings;
  settings.temperature = 1;
  settings.top_k = 2;
  EXPECT_THAT(ids_of(candidates(settings, {1, 3, 2, 2, 0})), ::testing::ElementsAre(1, 2, 3));
  settings.top_k = 1;
  EXPECT_THAT(ids_of(candidates(settings, {1, 3, 2, 2, 0})), ::testing::ElementsAre(1));
  settings.top_k = 1000;
  EXPECT_EQ(candidates(settings, {1, 3, 2, 2, 0}).size(), 5u);
}

TEST(SamplerTest, AlwaysKeepsTheMostLikely) {
  SamplerSettings settings;
  settings.temperature = 1;
  settings.top_p = 0;
  EXPECT_THAT(ids_of(candidates(settings, {1, 3, 2})), ::testing::ElementsAre(1));
  settings = {};
  settings.temperature = 1;
  settings.min_p = 5;
  EXPECT_THAT(ids_of(candidates(settings, {1, 3, 2})), ::testing::ElementsAre(1));
}

// A tiny temperature is greedy without dividing by nearly nothing; a huge one is fair.
TEST(SamplerTest, TakesExtremeTemperatures) {
  SamplerSettings settings;
  settings.temperature = 1e-300;
  EXPECT_FLOAT_EQ(candidates(settings, {1, 3, 2}).front().probability, 1);
  settings.temperature = 1e300;
  EXPECT_FLOAT_EQ(candidates(settings, {1, 3, 2}).back().probability, 1.0f / 3);
  for (const double odd : {-1.0, std::nan("")}) {
    settings.temperature = odd;
    EXPECT_THAT(ids_of(candidates(settings, {1, 3, 2})), ::testing::ElementsAre(1));
  }
}

// NaN is never drawn; infinities share everything; when nothing is left the token is 0.
TEST(SamplerTest, SurvivesLogitsThatAreNoNumbers) {
  SamplerSettings sampling;
  sampling.temperature = 1;
  sampling.top_k = 2;
  sampling.top_p = 0.9;
  for (const SamplerSettings& settings : {SamplerSettings{}, sampling}) {
    EXPECT_EQ(candidates(settings, {kNan, 1, -50, kNan}).front().id, 1);
    EXPECT_EQ(candidates(settings, {0, kInf, 5}).front().id, 1);
    EXPECT_THAT(ids_of(candidates(settings, {-kInf, -kInf})), ::testing::ElementsAre(0));
    EXPECT_THAT(ids_of(candidates(settings, {kNan, kNan})), ::testing::ElementsAre(0));
    EXPECT_THAT(ids_of(candidates(settings, {-kInf, 3, -kInf})), ::testing::ElementsAre(1));
  }
  sampling.top_k = 0;
  sampling.top_p = 1;
  const auto both = candidates(sampling, {kInf, 0, kInf});
  EXPECT_FLOAT_EQ(both[0].probability, 0.5f);
  EXPECT_FLOAT_EQ(both[1].probability, 0.5f);
  Logits logits = {kInf, 0, kInf};
  EXPECT_NE(Sampler(sampling).next(logits, {}), 1);
}

TEST(SamplerTest, SurvivesRandomLogitsAndSettings) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const float odd[] = {kNan, kInf, -kInf, 0, -0.0f, 3e38f, -3e38f, 1e-45f, 1, -1};
  for (int round = 0; round < 5000; ++round) {
    Logits logits(1 + random() % 20);
    for (float& logit : logits) {
      logit = random() % 3 == 0 ? odd[random() % 10] : static_cast<float>(random() % 2000) / 100 - 10;
    }
    Tokens history(random() % 20);
    for (TokenId& id : history) id = static_cast<TokenId>(random() % 25) - 2;
    const double numbers[] = {0, 1, 0.5, 2, -1, 1e-9, std::nan(""), 1e9};
    SamplerSettings settings;
    settings.temperature = numbers[random() % 8];
    settings.top_p = numbers[random() % 8];
    settings.min_p = numbers[random() % 8];
    settings.repetition_penalty = numbers[random() % 8];
    settings.top_k = random() % 5;
    settings.no_repeat_ngram = random() % 4;
    settings.seed = random();
    Logits copy = logits;
    const auto kept = Sampler(settings).candidates(copy, history);
    ASSERT_FALSE(kept.empty());
    double sum = 0;
    for (const Candidate& candidate : kept) sum += candidate.probability;
    ASSERT_NEAR(sum, 1, 1e-5);
    ASSERT_THAT(ids_of(kept), ::testing::Contains(Sampler(settings).next(logits, history)));
  }
}

TEST(SamplerTest, DrawsTheSameTokensForTheSameSeedOnEveryMachine) {
  SamplerSettings settings;
  settings.temperature = 1;
  settings.seed = 42;
  const auto draw = [](Sampler& sampler) {
    Logits logits(10, 0.0f);
    return sampler.next(logits, {});
  };
  Sampler one(settings);
  Tokens drawn;
  for (int i = 0; i < 8; ++i) drawn.push_back(draw(one));
  // PCG32's demo numbers begin 0xa15c02b7, ..., 0xba1d3330, ..., 0xbfa4784b: 0.63, 0.73 and 0.75 of the way.
  EXPECT_EQ(drawn, (Tokens{6, 7, 7, 7, 8, 1, 9, 1}));

  // What draw 3 gives depends on the seed and on 3, not on what was decided before.
  Sampler other(settings);
  Logits sure = {0, 99};
  for (int i = 0; i < 3; ++i) other.next(sure, {});
  EXPECT_EQ(draw(other), drawn[3]);
}

TEST(SamplerTest, DrawsAsOftenAsTheProbabilitiesSay) {
  SamplerSettings settings;
  settings.temperature = 0.8;
  settings.top_k = 3;
  settings.seed = 11;
  const Logits logits = {1, 2, 0, 1.5f, -1};
  Sampler sampler(settings);
  std::map<TokenId, int> counts;
  for (int i = 0; i < 20000; ++i) {
    Logits copy = logits;
    ++counts[sampler.next(copy, {})];
  }
  for (const Candidate& candidate : candidates(settings, logits)) {
    EXPECT_NEAR(counts[candidate.id] / 20000.0, candidate.probability, 0.02);
  }
  EXPECT_EQ(counts.size(), 3u);
}

TEST(SamplerTest, SumsExponentialsWithoutOverflow) {
  EXPECT_NEAR(log_sum_exp(Logits{1, 2, 3}), 3.4076059644, 1e-9);
  EXPECT_NEAR(log_sum_exp(Logits{1e30f, 0}), 1e30f, 1e23);
  EXPECT_NEAR(log_sum_exp(Logits{-1000, -1000}), -1000 + std::log(2), 1e-9);
  EXPECT_EQ(log_sum_exp(Logits{-kInf, -kInf}), -kInf);
  EXPECT_TRUE(std::isnan(log_sum_exp(Logits{1, kNan})));
}

}  // namespace
}  // namespace tandem::engine
