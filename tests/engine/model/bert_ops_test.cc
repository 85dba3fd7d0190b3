// The operations of the encoder against plain ones in double.

#include "worker/engine/model/bert_ops.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/support/random_values.h"

namespace tandem::engine {
namespace {

using testing::RandomValues;

TEST(BertOpsTest, GeluIsTheExactOne) {
  std::vector<float> x;
  for (double v = -9; v <= 9; v += 0.001) x.push_back(static_cast<float>(v));
  std::vector<float> out = x;
  gelu(out);
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = x[i] * (1 + std::erf(x[i] / std::sqrt(2.0))) / 2;
    EXPECT_NEAR(out[i], expected, 1e-6 + 4e-7 * std::fabs(x[i])) << x[i];
  }
}

TEST(BertOpsTest, LayerNormGivesRowsOfMeanZeroAndVarianceOne) {
  RandomValues random(1);
  constexpr size_t kRows = 3, kColumns = 50;
  std::vector<float> x = random.floats(kRows * kColumns);
  const std::vector<float> gain = random.floats(kColumns), bias = random.floats(kColumns), before = x;
  layer_norm({x.data(), kRows, kColumns}, gain, bias, 1e-12);
  for (size_t t = 0; t < kRows; ++t) {
    double mean = 0, variance = 0;
    const auto y = [&](size_t i) { return double{before[t * kColumns + i]}; };
    for (size_t i = 0; i < kColumns; ++i) mean += y(i) / kColumns;
    for (size_t i = 0; i < kColumns; ++i) variance += (y(i) - mean) * (y(i) - mean) / kColumns;
    for (size_t i = 0; i < kColumns; ++i) {
      EXPECT_NEAR(x[t * kColumns + i], (y(i) - mean) / std::sqrt(variance) * gain[i] + bias[i], 2e-6);
    }
  }
}

TEST(BertOpsTest, EveryTokenLooksAtEveryTokenOfItsText) {
  RandomValues random(2);
  constexpr size_t kTokens = 7, kStride = 12, kHead = 6;
  const std::vector<float> q = random.floats(kTokens * kStride), k = random.floats(kTokens * kStride),
                           v = random.floats(kTokens * kStride);
  std::vector<float> out(kTokens * kStride, 9.0f), scratch(kTokens * (kHead + 1));
  const size_t at = kHead;  // the second head
  attend_to_all(
      {q.data() + at, k.data() + at, v.data() + at, out.data() + at, kTokens, kStride, kStride, kHead},
      scratch);
  for (size_t t = 0; t < kTokens; ++t) {
    std::vector<double> weights(kTokens);
    double sum = 0;
    for (size_t s = 0; s < kTokens; ++s) {
      for (size_t i = 0; i < kHead; ++i) {
        weights[s] += double{q[t * kStride + at + i]} * k[s * kStride + at + i];
      }
      weights[s] = std::exp(weights[s] / std::sqrt(double{kHead}));
      sum += weights[s];
    }
    for (size_t i = 0; i < kHead; ++i) {
      double expected = 0;
      for (size_t s = 0; s < kTokens; ++s) expected += weights[s] / sum * v[s * kStride + at + i];
      EXPECT_NEAR(out[t * kStride + at + i], expected, 1e-5);
      EXPECT_EQ(out[t * kStride + i], 9.0f);  // the first head is somebody else's
    }
  }
}

TEST(BertOpsTest, AVectorOfZerosHasNoDirection) {
  std::vector<float> zeros(4), three = {3, 0, 4, 0};
  scale_to_unit(zeros);
  scale_to_unit(three);
  EXPECT_EQ(zeros, std::vector<float>(4));
  EXPECT_FLOAT_EQ(three[0], 0.6f);
  EXPECT_FLOAT_EQ(three[2], 0.8f);
}

}  // namespace
}  // namespace tandem::engine
