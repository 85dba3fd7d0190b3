// Tiles of 8-bit integers, in all the instructions that this CPU has.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>

#include "tests/engine/support/random_values.h"
#include "tests/engine/support/simds.h"

namespace tandem::engine {
namespace {

using testing::fuses;
using testing::RandomValues;
using testing::same_bits;

constexpr size_t kRowsMax = 40;

struct Product {
  // `extreme`: the largest magnitudes only, where narrow sums would overflow.
  Product(RandomValues& random, bool extreme)
      : weight_scales(random.floats(kPanelOutputs, 0.01f)),
        scales(random.floats(kRowsMax, 0.1f)),
        before(random.floats(kRowsMax * kPanelOutputs)) {
    for (size_t i = 0; i < kRowsMax * kBlockInputs; ++i) {
      x.push_back(extreme ? (random.below(5) == 0 ? -127 : 127) : static_cast<int>(random.below(255)) - 127);
    }
    for (size_t i = 0; i < kPanelOutputs * kBlockInputs; ++i) {
      weights.push_back(extreme ? (random.below(5) == 0 ? -128 : 127)
                                : static_cast<int>(random.below(255)) - 127);
    }
    for (size_t row = 0; row < kRowsMax; ++row) {
      int32_t sum = 0;
      for (size_t i = 0; i < kBlockInputs; ++i) sum += x[row * kBlockInputs + i];
      sums.push_back(-128 * sum);
    }
    for (size_t o = 0; o < kPanelOutputs; ++o) {
      block.scales[o] = weight_scales[o];
      for (size_t i = 0; i < kBlockInputs; ++i) {
        block.values[i / 4][o][i % 4] = static_cast<uint8_t>(weights[o * kBlockInputs + i] + 128);
      }
    }
  }

  int32_t integer(size_t row, size_t output) const {
    int32_t sum = 0;
    for (size_t i = 0; i < kBlockInputs; ++i)
      sum += x[row * kBlockInputs + i] * weights[output * kBlockInputs + i];
    return sum;
  }

  std::vector<float> multiply(const Simd& simd, size_t first_row, size_t n_rows, bool first) const {
    std::vector<int8_t> narrow(x.begin(), x.end());
    std::vector<int16_t> wide(x.size());
    for (size_t i = 0; i < x.size(); ++i) wide[wide_place(i)] = static_cast<int16_t>(x[i]);
    const void* input = narrow.data() + first_row * kBlockInputs;
    if (simd.q8_input_bytes == 2) input = wide.data() + first_row * kBlockInputs;
    constexpr float kUntouched = 12345;
    std::vector<float> c(before.begin() + static_cast<ptrdiff_t>(first_row * kPanelOutputs),
                         before.begin() + static_cast<ptrdiff_t>((first_row + n_rows) * kPanelOutputs));
    if (first) std::fill(c.begin(), c.end(), std::numeric_limits<float>::quiet_NaN());
    c.resize(c.size() + kPanelOutputs, kUntouched);
    simd.q8(n_rows, input, scales.data() + first_row, sums.data() + first_row, block, c.data(), first,
            {&block, sizeof block / 64});
    for (size_t i = n_rows * kPanelOutputs; i < c.size(); ++i) EXPECT_EQ(c[i], kUntouched);
    c.resize(n_rows * kPanelOutputs);
    return c;
  }

  std::vector<float> weight_scales, scales, before;
  std::vector<int> x, weights;
  std::vector<int32_t> sums;
  Q8Block block;
};

class Q8TileTest : public ::testing::TestWithParam<bool> {
 protected:
  RandomValues random_{2};
  Product product_{random_, GetParam()};
};

TEST_P(Q8TileTest, ScalesAnExactIntegerSum) {
  std::vector<float> replaced, added;
  for (size_t row = 0; row < kRowsMax; ++row) {
    for (size_t o = 0; o < kPanelOutputs; ++o) {
      const float integer = static_cast<float>(product_.integer(row, o));
      const float scale = product_.weight_scales[o] * product_.scales[row];
      replaced.push_back(std::fma(integer, scale, 0.0f));
      added.push_back(std::fma(integer, scale, product_.before[row * kPanelOutputs + o]));
    }
  }
  for (const Simd& simd : all_simd()) {
    SCOPED_TRACE(simd.name);
    const std::vector<float> c = product_.multiply(simd, 0, kRowsMax, true);
    // One product of two floats: nothing to fuse, so all implementations agree to the bit.
    EXPECT_TRUE(same_bits(c, replaced));
    const std::vector<float> sum = product_.multiply(simd, 0, kRowsMax, false);
    if (fuses(simd)) {
      EXPECT_TRUE(same_bits(sum, added));
      continue;
    }
    for (size_t i = 0; i < sum.size(); ++i) {
      ASSERT_NEAR(sum[i], added[i], 2e-7 * (std::fabs(replaced[i]) + std::fabs(product_.before[i]))) << i;
    }
  }
}

TEST_P(Q8TileTest, GivesARowTheSameBitsWithAnyNumberOfOthers) {
  for (const Simd& simd : all_simd()) {
    for (const bool first : {true, false}) {
      const std::vector<float> all = product_.multiply(simd, 0, kRowsMax, first);
      for (size_t n_rows = 1; n_rows < kRowsMax; ++n_rows) {
        const size_t first_row = random_.below(kRowsMax - n_rows + 1);
        const auto expected = std::span(all).subspan(first_row * kPanelOutputs, n_rows * kPanelOutputs);
        ASSERT_TRUE(same_bits(product_.multiply(simd, first_row, n_rows, first), expected))
            << simd.name << ", rows " << first_row << " + " << n_rows;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Values, Q8TileTest, ::testing::Bool(),
                         [](const auto& one) { return one.param ? "Extreme" : "Random"; });

// From floats to integers: the same on every CPU, and each within half a step of its value.
TEST(QuantizeTest, GivesTheNearestIntegersTheirScaleAndTheirSum) {
  RandomValues random(3);
  std::vector<std::vector<float>> blocks = {std::vector<float>(kBlockInputs, 0.0f),
                                            std::vector<float>(kBlockInputs, -1.0f)};
  for (const float deviation : {1e-30f, 1e-3f, 1.0f, 1e4f, 1e35f})
    blocks.push_back(random.floats(kBlockInputs, deviation));
  std::vector<float> ties(kBlockInputs), outlier = random.floats(kBlockInputs);
  for (size_t i = 0; i < kBlockInputs; ++i) ties[i] = static_cast<float>(i) - 63.5f;
  ties[0] = 127;  // so that the scale is 1
  outlier[77] = -1000;
  blocks.push_back(ties);
  blocks.push_back(outlier);

  for (size_t b = 0; b < blocks.size(); ++b) {
    std::vector<int> first_integers;
    float first_scale = 0;
    for (const Simd& simd : all_simd()) {
      SCOPED_TRACE(simd.name + ", block " + std::to_string(b));
      alignas(64) std::byte memory[kBlockInputs * 2];
      float scale = -1;
      int32_t sum = -1;
      simd.quantize(blocks[b].data(), memory, scale, sum);
      std::vector<int> integers;
      float largest = 0;
      int32_t expected_sum = 0;
      for (size_t i = 0; i < kBlockInputs; ++i) {
        integers.push_back(testing::quantized(simd, memory, i));
        largest = std::max(largest, std::fabs(blocks[b][i]));
        expected_sum -= 128 * integers.back();
        ASSERT_LE(std::abs(integers.back()), 127);
        ASSERT_LE(std::fabs(integers.back() * static_cast<double>(scale) - blocks[b][i]),
                  0.50001 * static_cast<double>(scale));
      }
      EXPECT_EQ(scale, largest / 127);
      EXPECT_EQ(sum, expected_sum);
      if (first_integers.empty()) first_integers = integers, first_scale = scale;
      EXPECT_EQ(integers, first_integers);
      EXPECT_EQ(scale, first_scale);
    }
    if (blocks[b] == ties) {
      EXPECT_EQ(first_integers[64], 0) << "0.5 to even";
      EXPECT_EQ(first_integers[65], 2) << "1.5 to even";
      EXPECT_EQ(first_integers[62], -2) << "-1.5 to even";
    }
  }
}

}  // namespace
}  // namespace tandem::engine
