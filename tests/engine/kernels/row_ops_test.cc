// What is done to rows between products, in all the instructions that this CPU has, against plain references
// in double.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/engine/support/random_values.h"
#include "tests/engine/support/simds.h"
#include "worker/engine/tensor/element_type.h"

namespace tandem::engine {
namespace {

using testing::fuses;
using testing::RandomValues;
using testing::same_bits;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kFloatMax = std::numeric_limits<float>::max();

// Runs `compute` with every implementation, gives each result to `check`, and holds those that fuse to the
// same bits.
void for_all_simd(const std::function<std::vector<float>(const Simd&)>& compute,
                  const std::function<void(const std::vector<float>&)>& check) {
  std::vector<float> first;
  for (const Simd& simd : all_simd()) {
    SCOPED_TRACE(simd.name);
    const std::vector<float> result = compute(simd);
    check(result);
    if (::testing::Test::HasFatalFailure()) return;
    if (!fuses(simd)) continue;
    if (first.empty()) first = result;
    EXPECT_TRUE(same_bits(result, first)) << "other bits than " << all_simd().front().name;
  }
}

TEST(RmsNormTest, ScalesARowToUnitRootMeanSquare) {
  RandomValues random(4);
  for (const size_t n : {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 128, 896, 1023}) {
    for (const float deviation : {1e-4f, 1.0f, 1e3f}) {
      SCOPED_TRACE(n);
      const std::vector<float> x = random.floats(n, deviation), gain = random.floats(n);
      double squares = 0;
      for (const float v : x) squares += static_cast<double>(v) * v;
      const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + 1e-6);
      for_all_simd(
          [&](const Simd& simd) {
            std::vector<float> out(n + 1, kNan), in_place = x;
            out[n] = 7;
            simd.rms_norm(x.data(), gain.data(), n, 1e-6f, out.data());
            EXPECT_EQ(out[n], 7) << "wrote behind the row";
            out.resize(n);
            simd.rms_norm(in_place.data(), gain.data(), n, 1e-6f, in_place.data());
            EXPECT_TRUE(same_bits(in_place, out)) << "in place";
            return out;
          },
          [&](const std::vector<float>& out) {
            for (size_t i = 0; i < n; ++i) {
              const double expected = x[i] * scale * gain[i];
              ASSERT_NEAR(out[i], expected, 2e-6 * std::fabs(expected)) << i;
            }
          });
    }
  }
}

TEST(RmsNormTest, LeavesARowOfZerosZero) {
  const std::vector<float> zeros(37), gain(37, 3.0f);
  for_all_simd(
      [&](const Simd& simd) {
        std::vector<float> out(37, kNan);
        simd.rms_norm(zeros.data(), gain.data(), out.size(), 1e-6f, out.data());
        return out;
      },
      [&](const std::vector<float>& out) { EXPECT_EQ(out, zeros); });
}

TEST(SiluGateTest, GatesAlsoWhereTheExponentialIsBeyondAFloat) {
  RandomValues random(5);
  std::vector<float> gate = {0,   -0.0f, 88,  -88,  103,  -103,  105,  -105,
                             177, -177,  200, -200, 1e4f, -1e4f, 1e30f};
  for (const float extreme : {-1e30f, -kFloatMax}) gate.push_back(extreme);
  for (float g = -40; g < 40; g += 0.37f) gate.push_back(g);
  while (gate.size() < 1000) gate.push_back(random.floats(1, 3)[0]);
  const std::vector<float> up = random.floats(gate.size());
  for (const size_t n : {size_t{1}, size_t{2}, size_t{3}, size_t{15}, size_t{16}, size_t{17}, size_t{32},
                         gate.size() - 1, gate.size()}) {
    SCOPED_TRACE(n);
    for_all_simd(
        [&](const Simd& simd) {
          std::vector<float> out(n + 1, kNan),
              in_place(gate.begin(), gate.begin() + static_cast<ptrdiff_t>(n));
          out[n] = 7;
          simd.silu_gate(gate.data(), up.data(), n, out.data());
          EXPECT_EQ(out[n], 7) << "wrote behind the row";
          out.resize(n);
          simd.silu_gate(in_place.data(), up.data(), n, in_place.data());
          EXPECT_TRUE(same_bits(in_place, out)) << "in place";
          return out;
        },
        [&](const std::vector<float>& out) {
          for (size_t i = 0; i < n; ++i) {
            const double g = gate[i], expected = g / (1 + std::exp(-g)) * up[i];
            // Below e^-87 a float has fewer digits, and then none.
            ASSERT_NEAR(out[i], expected, 2e-6 * std::fabs(expected) + 1e-35) << "gate " << g;
          }
        });
  }
}

// Behind the last position lies what was there before: it must neither count nor spread.
TEST(SoftmaxTest, WeighsWhatIsSeenAndForgetsTheRest) {
  RandomValues random(6);
  constexpr size_t kBlocks = 4, kStride = 48;
  const float garbage[] = {kNan, kInfinity, -kInfinity, kFloatMax, -1e30f, 0};
  for (size_t n_seen = 1; n_seen <= kBlocks * 32; ++n_seen) {
    SCOPED_TRACE(n_seen);
    const float scale = 0.125f;
    const auto place = [](size_t i) { return i / 32 * kStride + i % 32; };
    std::vector<float> scores = random.floats(kBlocks * kStride, 20);
    if (n_seen > 2) scores[1] = -1e5f;
    if (n_seen % 7 == 0) scores[place(n_seen - 1)] = 500;
    if (n_seen % 5 == 0) std::fill(scores.begin(), scores.end(), -kFloatMax / 4);
    for (size_t i = n_seen; i < kBlocks * 32; ++i) scores[place(i)] = garbage[i % std::size(garbage)];
    float largest = scores[0];
    for (size_t i = 0; i < n_seen; ++i) largest = std::max(largest, scores[place(i)]);
    for_all_simd(
        [&](const Simd& simd) {
          std::vector<float> weights = scores;
          weights.push_back(simd.softmax(weights.data(), kStride, kBlocks, n_seen, scale));
          return weights;
        },
        [&](const std::vector<float>& weights) {
          double sum = 0;
          for (size_t i = 0; i < kBlocks * 32; ++i) {
            const float found = weights[place(i)];
            if (i >= n_seen) {
              ASSERT_EQ(found, 0.0f) << i;
              continue;
            }
            const double expected = std::exp((static_cast<double>(scores[place(i)]) - largest) * scale);
            ASSERT_NEAR(found, expected, 4e-6 * expected + 1e-37) << i;
            sum += found;
          }
          ASSERT_NEAR(weights.back(), sum, 1e-6 * sum);
          for (size_t b = 0; b < kBlocks; ++b) {
            for (size_t i = 32; i < kStride; ++i) {
              ASSERT_EQ(weights[b * kStride + i], scores[b * kStride + i]) << "wrote between the blocks";
            }
          }
        });
  }
}

TEST(TurnPairsTest, TurnsEachPairByItsAngle) {
  RandomValues random(7);
  for (size_t n = 1; n <= 70; ++n) {
    const std::vector<float> low = random.floats(n), high = random.floats(n), cosines = random.floats(n),
                             sines = random.floats(n);
    for_all_simd(
        [&](const Simd& simd) {
          std::vector<float> both = low;
          both.insert(both.end(), high.begin(), high.end());
          simd.turn_pairs(both.data(), both.data() + n, cosines.data(), sines.data(), n);
          return both;
        },
        [&](const std::vector<float>& both) {
          for (size_t i = 0; i < n; ++i) {
            ASSERT_NEAR(both[i], low[i] * cosines[i] - high[i] * sines[i], 2e-6) << i;
            ASSERT_NEAR(both[n + i], high[i] * cosines[i] + low[i] * sines[i], 2e-6) << i;
          }
        });
  }
}

TEST(WidenBf16PairsTest, PutsTheLowHalvesIntoTheFirstSixteenOutputs) {
  std::vector<uint32_t> pairs;  // every bf16 in each half once
  for (uint32_t i = 0; i < 1u << 16; ++i) pairs.push_back(i | (0xFFFF - i) << 16);
  const size_t n_inputs = pairs.size() / 16;
  std::vector<float> expected(n_inputs * 32);
  for (size_t i = 0; i < n_inputs; ++i) {
    for (size_t o = 0; o < 16; ++o) {
      const uint32_t pair = pairs[i * 16 + o];
      expected[i * 32 + o] = widen_bf16(static_cast<uint16_t>(pair));
      expected[i * 32 + o + 16] = widen_bf16(static_cast<uint16_t>(pair >> 16));
    }
  }
  for (const Simd& simd : all_simd()) {
    std::vector<float> out(expected.size());
    simd.widen_bf16_pairs(pairs.data(), n_inputs, out.data());
    EXPECT_TRUE(same_bits(out, expected)) << simd.name;
  }
}

constexpr uint16_t kLargestF16 = 0x7BFF;  // 65504

TEST(F16Test, WidensEveryValueExactly) {
  std::vector<uint16_t> half(1u << 16);
  for (size_t i = 0; i < half.size(); ++i) half[i] = static_cast<uint16_t>(i);
  for (const Simd& simd : all_simd()) {
    std::vector<float> wide(half.size());
    simd.widen_f16(half.data(), half.size(), wide.data());
    for (size_t i = 0; i < half.size(); ++i) {
      if ((half[i] & 0x7FFF) > kLargestF16) continue;  // infinities and NaN are never stored
      const float expected = widen_f16(half[i]);
      ASSERT_TRUE(same_bits({&wide[i], 1}, {&expected, 1})) << simd.name << " " << std::hex << half[i];
    }
  }
}

// Between two neighbours lie the nearest ones of each, and their middle, which goes to the even one.
TEST(F16Test, NarrowsToTheNearestValueAndTiesToEven) {
  std::vector<float> values;
  std::vector<uint16_t> expected;
  const auto add = [&](float value, uint16_t half) {
    values.push_back(value);
    expected.push_back(half);
    values.push_back(-value);
    expected.push_back(static_cast<uint16_t>(half | 0x8000));
  };
  for (uint16_t half = 0; half <= kLargestF16; ++half) {
    const float value = widen_f16(half);
    add(value, half);
    if (half == kLargestF16) break;
    const uint16_t next = static_cast<uint16_t>(half + 1);
    const float middle = (value + widen_f16(next)) / 2;  // exact in a float
    add(middle, half % 2 == 0 ? half : next);
    add(std::nextafter(middle, 0.0f), half);
    add(std::nextafter(middle, kInfinity), next);
  }
  while (values.size() % 16 != 0) add(0, 0);
  for (const Simd& simd : all_simd()) {
    std::vector<uint16_t> half(values.size());
    simd.narrow_f16(values.data(), values.size(), half.data());
    for (size_t i = 0; i < half.size(); ++i) {
      ASSERT_EQ(half[i], expected[i]) << simd.name << ", " << values[i];
    }
  }
}

TEST(F16Test, KeepsWhatIsTooLargeFinite) {
  std::vector<float> values = {65504, 65519, 65520, 65536, 1e6f, 1e30f, kFloatMax, kInfinity};
  for (size_t i = 0; i < 8; ++i) values.push_back(-values[i]);
  for (const Simd& simd : all_simd()) {
    std::vector<uint16_t> half(16);
    simd.narrow_f16(values.data(), values.size(), half.data());
    for (size_t i = 0; i < 16; ++i) {
      EXPECT_EQ(half[i], i < 8 ? kLargestF16 : kLargestF16 | 0x8000) << simd.name << ", " << values[i];
    }
  }
}

}  // namespace
}  // namespace tandem::engine
