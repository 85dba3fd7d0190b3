// Tiles of float products, in all the instructions that this CPU has.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "tests/engine/support/random_values.h"
#include "tests/engine/support/simds.h"
#include "worker/engine/tensor/element_type.h"

namespace tandem::engine {
namespace {

using testing::fuses;
using testing::RandomValues;
using testing::same_bits;

constexpr size_t kRowsMax = 40;  // some tiles of every implementation, and every rest
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

enum class Kind { kF32, kBf16, kNarrow };

// A product of kRowsMax rows, with NaN wherever a tile must not read.
struct Product {
  Product(Kind which, size_t n, RandomValues& random) : kind(which), n_inputs(n) {
    x.assign(kRowsMax * stride(), kNan);
    for (size_t row = 0; row < kRowsMax; ++row) {
      const std::vector<float> values = random.floats(n_inputs);
      std::copy(values.begin(), values.end(), x.begin() + static_cast<ptrdiff_t>(row * stride()));
    }
    weights = random.floats(n_inputs * kPanelOutputs);
    before = random.floats(kRowsMax * kPanelOutputs);
    if (kind != Kind::kBf16) return;
    for (float& weight : weights) weight = widen_bf16(narrow_bf16(weight));
    for (size_t i = 0; i < n_inputs; ++i) {
      for (size_t o = 0; o < kPanelOutputs / 2; ++o) {
        const float* const w = &weights[i * kPanelOutputs + o];
        pairs.push_back(narrow_bf16(w[0]) | static_cast<uint32_t>(narrow_bf16(w[kPanelOutputs / 2])) << 16);
      }
    }
  }

  size_t stride() const { return kind == Kind::kNarrow ? 32 : kBlockInputs; }

  // Rows [first_row, first_row + n_rows) by `simd`; asserts that nothing behind them is written.
  std::vector<float> multiply(const Simd& simd, size_t first_row, size_t n_rows, bool first) const {
    constexpr float kUntouched = 12345;
    std::vector<float> c(before.begin() + static_cast<ptrdiff_t>(first_row * kPanelOutputs),
                         before.begin() + static_cast<ptrdiff_t>((first_row + n_rows) * kPanelOutputs));
    if (first) std::fill(c.begin(), c.end(), kNan);
    c.resize(c.size() + kPanelOutputs, kUntouched);
    const float* const from = x.data() + first_row * stride();
    switch (kind) {
      case Kind::kF32:
        simd.f32(n_rows, n_inputs, from, weights.data(), c.data(), first, {weights.data(), n_inputs * 2});
        break;
      case Kind::kBf16:
        simd.bf16(n_rows, n_inputs, from, pairs.data(), c.data(), first, {pairs.data(), n_inputs});
        break;
      case Kind::kNarrow:
        simd.f32_narrow(n_rows, n_inputs, from, weights.data(), c.data(), first, {});
        break;
    }
    for (size_t i = n_rows * kPanelOutputs; i < c.size(); ++i) EXPECT_EQ(c[i], kUntouched);
    c.resize(n_rows * kPanelOutputs);
    return c;
  }

  Kind kind;
  size_t n_inputs;
  std::vector<float> x, weights, before;
  std::vector<uint32_t> pairs;
};

class FloatTileTest : public ::testing::TestWithParam<Kind> {
 protected:
  static std::vector<size_t> sizes() {
    if (GetParam() == Kind::kNarrow) return {1, 2, 7, 31, 32};
    return {1, 3, 16, 63, 127, 128};
  }
  RandomValues random_{1};
};

TEST_P(FloatTileTest, SumsLikeDouble) {
  for (const size_t n_inputs : sizes()) {
    const Product product(GetParam(), n_inputs, random_);
    for (const Simd& simd : all_simd()) {
      for (const bool first : {true, false}) {
        SCOPED_TRACE(simd.name + ", " + std::to_string(n_inputs) + " inputs, " + (first ? "first" : "added"));
        const std::vector<float> c = product.multiply(simd, 0, kRowsMax, first);
        for (size_t i = 0; i < c.size(); ++i) {
          double sum = first ? 0 : product.before[i], magnitude = std::fabs(sum) + 1e-30;
          for (size_t k = 0; k < n_inputs; ++k) {
            const double term = static_cast<double>(product.x[i / kPanelOutputs * product.stride() + k]) *
                                product.weights[k * kPanelOutputs + i % kPanelOutputs];
            sum += term;
            magnitude += std::fabs(term);
          }
          ASSERT_NEAR(c[i], sum, 2e-6 * magnitude) << "row " << i / kPanelOutputs;
        }
      }
    }
  }
}

// What simd.h says of the order, word by word: so other CPUs and later kernels must give these bits, too.
TEST_P(FloatTileTest, IsAChainOfFusedMultiplyAddsFromZeroAddedToWhatWasThere) {
  for (const size_t n_inputs : sizes()) {
    const Product product(GetParam(), n_inputs, random_);
    std::vector<float> chain(kRowsMax * kPanelOutputs), added = product.before;
    for (size_t i = 0; i < chain.size(); ++i) {
      for (size_t k = 0; k < n_inputs; ++k) {
        chain[i] = std::fma(product.x[i / kPanelOutputs * product.stride() + k],
                            product.weights[k * kPanelOutputs + i % kPanelOutputs], chain[i]);
      }
      added[i] += chain[i];
    }
    for (const Simd& simd : all_simd()) {
      if (!fuses(simd)) continue;
      SCOPED_TRACE(simd.name + ", " + std::to_string(n_inputs) + " inputs");
      EXPECT_TRUE(same_bits(product.multiply(simd, 0, kRowsMax, true), chain));
      EXPECT_TRUE(same_bits(product.multiply(simd, 0, kRowsMax, false), added));
    }
  }
}

TEST_P(FloatTileTest, GivesARowTheSameBitsWithAnyNumberOfOthers) {
  for (const size_t n_inputs : sizes()) {
    const Product product(GetParam(), n_inputs, random_);
    for (const Simd& simd : all_simd()) {
      for (const bool first : {true, false}) {
        const std::vector<float> all = product.multiply(simd, 0, kRowsMax, first);
        for (size_t n_rows = 1; n_rows < kRowsMax; ++n_rows) {
          const size_t first_row = random_.below(kRowsMax - n_rows + 1);
          const auto expected = std::span(all).subspan(first_row * kPanelOutputs, n_rows * kPanelOutputs);
          ASSERT_TRUE(same_bits(product.multiply(simd, first_row, n_rows, first), expected))
              << simd.name << ", rows " << first_row << " + " << n_rows << ", " << n_inputs << " inputs";
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, FloatTileTest, ::testing::Values(Kind::kF32, Kind::kBf16, Kind::kNarrow), [](const auto& one) {
      return std::string(one.param == Kind::kF32 ? "f32" : one.param == Kind::kBf16 ? "bf16" : "narrow");
    });

TEST(SimdTest, ListsTheBestFirstAndChoosesIt) {
  ASSERT_FALSE(all_simd().empty());
  if (std::getenv("TANDEM_SIMD") == nullptr) {
    EXPECT_EQ(&simd(), &all_simd().front());
  }
  for (const Simd& one : all_simd()) {
    EXPECT_GE(one.float_rows_max, 1u) << one.name;
    EXPECT_GE(one.q8_rows_max, 1u) << one.name;
  }
}

}  // namespace
}  // namespace tandem::engine
