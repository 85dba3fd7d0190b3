#include "worker/engine/kernels/packed_matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/engine/support/packed.h"
#include "tests/engine/support/random_values.h"
#include "tests/engine/support/simds.h"
#include "worker/engine/kernels/matmul.h"

namespace tandem::engine {
namespace {

using testing::input_of;
using testing::kComputeTypes;
using testing::Packed;
using testing::RandomValues;
using testing::same_bits;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// A row as the product sees it: for q8, in whole steps of its blocks' scales.
std::vector<double> seen(ComputeType type, std::span<const float> row) {
  std::vector<double> values(row.begin(), row.end());
  if (type != ComputeType::kQ8) return values;
  for (size_t first = 0; first < row.size(); first += kBlockInputs) {
    float block[kBlockInputs] = {}, scale = 0;
    std::copy_n(row.begin() + static_cast<ptrdiff_t>(first), std::min(kBlockInputs, row.size() - first),
                block);
    alignas(64) std::byte integers[2 * kBlockInputs];
    int32_t sum = 0;
    simd().quantize(block, integers, scale, sum);
    for (size_t i = 0; i < kBlockInputs && first + i < row.size(); ++i) {
      values[first + i] = testing::quantized(simd(), integers, i) * static_cast<double>(scale);
    }
  }
  return values;
}

// A product in double, and the sum of magnitudes that bounds the rounding of a float sum.
struct Sum {
  double value = 0, magnitude = 0;
};
Sum sum_of(std::span<const double> x, std::span<const float> weights) {
  Sum sum;
  for (size_t i = 0; i < x.size(); ++i) {
    sum.value += x[i] * weights[i];
    sum.magnitude += std::fabs(x[i] * weights[i]);
  }
  return sum;
}

struct Shape {
  size_t n_rows, n_outputs, n_inputs;
};

class PackedMatmulTest : public ::testing::TestWithParam<ComputeType> {
 protected:
  const ComputeType type_ = GetParam();
  RandomValues random_{12};
};

// Around the borders of tiles, panels and blocks, and enough to be worth sharing between threads.
TEST_P(PackedMatmulTest, MultipliesAndAddsLikeTheSumsItStandsFor) {
  for (const auto& [n_rows, n_outputs, n_inputs] : {Shape{1, 1, 1},
                                                    {1, 100, 300},
                                                    {2, 31, 127},
                                                    {5, 32, 128},
                                                    {13, 33, 129},
                                                    {15, 257, 256},
                                                    {29, 64, 100},
                                                    {61, 96, 300}}) {
    const std::vector<float> x = random_.floats(n_rows * n_inputs), bias = random_.floats(n_outputs),
                             values = random_.floats(n_outputs * n_inputs),
                             before = random_.floats(n_rows * n_outputs);
    const Packed packed = Packed::of(type_, {values.data(), n_outputs, n_inputs});
    const std::vector<float> weights = packed.unpacked();
    const MatmulInput input = input_of(type_, {x.data(), n_rows, n_inputs});
    for (const size_t n_threads : {1, 2, 5}) {
      SCOPED_TRACE(std::to_string(n_rows) + " x " + std::to_string(n_outputs) + " x " +
                   std::to_string(n_inputs) + ", threads " + std::to_string(n_threads));
      ThreadPool pool(n_threads);
      std::vector<float> plain(n_rows * n_outputs, kNan), biased = plain, added = before;
      multiply(pool, input, packed.matrix, {}, {plain.data(), n_rows, n_outputs});
      multiply(pool, input, packed.matrix, bias, {biased.data(), n_rows, n_outputs});
      multiply_add(pool, input, packed.matrix, {added.data(), n_rows, n_outputs});
      for (size_t t = 0; t < n_rows; ++t) {
        const std::vector<double> row = seen(type_, std::span(x).subspan(t * n_inputs, n_inputs));
        for (size_t o = 0; o < n_outputs; ++o) {
          const Sum sum = sum_of(row, std::span(weights).subspan(o * n_inputs, n_inputs));
          const size_t i = t * n_outputs + o;
          ASSERT_NEAR(plain[i], sum.value, 2e-6 * (sum.magnitude + 1e-6)) << t << " " << o;
          ASSERT_EQ(biased[i], plain[i] + bias[o]);
          ASSERT_EQ(added[i], before[i] + plain[i]);
        }
      }
    }
  }
}

// OpenBLAS stays the reference: every float kernel computes what it computes, from the same weights.
TEST_P(PackedMatmulTest, AgreesWithOpenBlas) {
  for (const auto& [n_rows, n_outputs, n_inputs] : {Shape{1, 512, 896}, {7, 300, 1000}, {64, 256, 704}}) {
    const std::vector<float> x = random_.floats(n_rows * n_inputs),
                             values = random_.floats(n_outputs * n_inputs);
    const Packed packed = Packed::of(type_, {values.data(), n_outputs, n_inputs});
    const std::vector<float> weights = packed.unpacked();
    std::vector<float> seen_x;
    for (size_t t = 0; t < n_rows; ++t) {
      const std::vector<double> row = seen(type_, std::span(x).subspan(t * n_inputs, n_inputs));
      for (const double value : row) seen_x.push_back(static_cast<float>(value));
    }
    ThreadPool pool(2);
    std::vector<float> out(n_rows * n_outputs), reference = out;
    multiply(pool, input_of(type_, {x.data(), n_rows, n_inputs}), packed.matrix, {},
             {out.data(), n_rows, n_outputs});
    matmul(pool, {seen_x.data(), n_rows, n_inputs},
           {{{weights.data(), n_outputs, n_inputs}, {}, {reference.data(), n_rows, n_outputs}}});
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_NEAR(out[i], reference[i], 1e-5 * std::sqrt(static_cast<double>(n_inputs))) << i;
    }
  }
}

// q8 against the product that it stands for: half a step of error in each input and each weight.
TEST(PackedMatmulQ8Test, StaysWithinTheStepsThatItRoundsTo) {
  RandomValues random(13);
  constexpr size_t kOutputs = 100, kInputs = 300;
  const std::vector<float> x = random.floats(kInputs), values = random.floats(kOutputs * kInputs);
  const Packed packed = Packed::of(ComputeType::kQ8, {values.data(), kOutputs, kInputs});
  ThreadPool pool(1);
  std::vector<float> out(kOutputs);
  multiply(pool, input_of(ComputeType::kQ8, {x.data(), 1, kInputs}), packed.matrix, {},
           {out.data(), 1, kOutputs});
  const auto step = [](std::span<const float> block) {
    float largest = 0;
    for (const float value : block) largest = std::max(largest, std::fabs(value));
    return static_cast<double>(largest) / 127;
  };
  double squared_error = 0, squared_value = 0;
  for (size_t o = 0; o < kOutputs; ++o) {
    const std::span<const float> weights = std::span(values).subspan(o * kInputs, kInputs);
    double exact = 0, bound = 0;
    for (size_t i = 0; i < kInputs; ++i) {
      const size_t first = i / kBlockInputs * kBlockInputs, n = std::min(kBlockInputs, kInputs - first);
      const double x_error = step(std::span(x).subspan(first, n)) / 2,
                   w_error = step(weights.subspan(first, n)) / 2;
      exact += static_cast<double>(x[i]) * weights[i];
      bound += std::fabs(x[i]) * w_error + (std::fabs(weights[i]) + w_error) * x_error;
    }
    ASSERT_LE(std::fabs(out[o] - exact), bound * 1.0001);
    squared_error += (out[o] - exact) * (out[o] - exact);
    squared_value += exact * exact;
  }
  EXPECT_LE(std::sqrt(squared_error / squared_value), 0.02);
}

// What "the same bytes" rests on. The numbers of rows lie on both sides of every way of computing them.
TEST_P(PackedMatmulTest, GivesARowTheSameBitsWithAnyNumberOfOthersAndThreads) {
  constexpr size_t kRows = 70, kOutputs = 160, kInputs = 300;
  const std::vector<float> x = random_.floats(kRows * kInputs), values = random_.floats(kOutputs * kInputs);
  const Packed packed = Packed::of(type_, {values.data(), kOutputs, kInputs});
  std::vector<float> alone(kRows * kOutputs), alone_gated;
  ThreadPool one(1), several(3);
  for (size_t t = 0; t < kRows; ++t) {
    const MatmulInput input = input_of(type_, {&x[t * kInputs], 1, kInputs});
    multiply(one, input, packed.matrix, {}, {&alone[t * kOutputs], 1, kOutputs});
  }
  for (ThreadPool* pool : {&one, &several}) {
    for (const size_t n_rows : {1, 2, 3, 6, 7, 12, 13, 14, 15, 16, 24, 28, 29, 30, 43, 56, 64, 70}) {
      const size_t first = random_.below(kRows - n_rows + 1);
      std::vector<float> out(n_rows * kOutputs, kNan);
      multiply(*pool, input_of(type_, {&x[first * kInputs], n_rows, kInputs}), packed.matrix, {},
               {out.data(), n_rows, kOutputs});
      ASSERT_TRUE(same_bits(out, std::span(alone).subspan(first * kOutputs, out.size())))
          << n_rows << " rows from " << first << " on, " << pool->n_threads() << " threads";
    }
  }
}

TEST_P(PackedMatmulTest, GivesTheSameBitsForOutputsThatArePackedApart) {
  constexpr size_t kRows = 9, kOutputs = 300, kInputs = 200;
  const std::vector<float> x = random_.floats(kRows * kInputs), values = random_.floats(kOutputs * kInputs);
  const std::vector<int32_t> outputs = {299, 5, 31, 32, 5, 130};
  const Packed packed = Packed::of(type_, {values.data(), kOutputs, kInputs});
  Packed some = Packed::of_shape(type_, outputs.size(), kInputs);
  pack_outputs(packed.matrix, outputs, some.bytes());
  ThreadPool pool(2);
  const MatmulInput input = input_of(type_, {x.data(), kRows, kInputs});
  std::vector<float> all_out(kRows * kOutputs), some_out(kRows * outputs.size());
  multiply(pool, input, packed.matrix, {}, {all_out.data(), kRows, kOutputs});
  multiply(pool, input, some.matrix, {}, {some_out.data(), kRows, outputs.size()});
  for (size_t t = 0; t < kRows; ++t) {
    for (size_t i = 0; i < outputs.size(); ++i) {
      const float expected = all_out[t * kOutputs + static_cast<size_t>(outputs[i])];
      ASSERT_TRUE(same_bits({&some_out[t * outputs.size() + i], 1}, {&expected, 1})) << t << " " << i;
    }
  }
}

// Gate and up alternate in panels; the result is the input of the product that follows, as the projection
// down sees it.
TEST_P(PackedMatmulTest, GatesIntoTheInputOfTheNextProduct) {
  for (const auto& [n_rows, n_outputs, n_inputs] :
       {Shape{1, 1, 1}, {3, 33, 100}, {7, 128, 64}, {40, 300, 130}, {64, 704, 256}}) {
    SCOPED_TRACE(std::to_string(n_rows) + " x " + std::to_string(n_outputs));
    const size_t n_panels = (n_outputs + kPanelOutputs - 1) / kPanelOutputs;
    const std::vector<float> x = random_.floats(n_rows * n_inputs),
                             gate = random_.floats(n_outputs * n_inputs),
                             up = random_.floats(n_outputs * n_inputs);
    ThreadPool pool(3);
    Packed both = Packed::of_shape(type_, 2 * n_panels * kPanelOutputs, n_inputs);
    pack(
        pool, both.matrix,
        [&, n = n_outputs, k = n_inputs](size_t output, std::span<float> row) {
          const size_t panel = output / kPanelOutputs;
          const size_t source = panel / 2 * kPanelOutputs + output % kPanelOutputs;
          if (source < n) std::copy_n(&(panel % 2 == 0 ? gate : up)[source * k], k, row.begin());
        },
        both.bytes());
    const MatmulInput input = input_of(type_, {x.data(), n_rows, n_inputs});
    MatmulInput gated;
    multiply_silu_gate(pool, input, both.matrix, n_outputs, gated);
    ASSERT_EQ(gated.n_rows(), n_rows);
    ASSERT_EQ(gated.n_inputs(), n_outputs);

    // The same from two products and a row operation.
    std::vector<float> g(n_rows * n_outputs), u(g), expected(g);
    const Packed gate_alone = Packed::of(type_, {gate.data(), n_outputs, n_inputs});
    const Packed up_alone = Packed::of(type_, {up.data(), n_outputs, n_inputs});
    multiply(pool, input, gate_alone.matrix, {}, {g.data(), n_rows, n_outputs});
    multiply(pool, input, up_alone.matrix, {}, {u.data(), n_rows, n_outputs});
    simd().silu_gate(g.data(), u.data(), g.size(), expected.data());
    for (size_t i = 0; i < g.size(); ++i) {
      const double exact = g[i] / (1 + std::exp(-static_cast<double>(g[i]))) * u[i];
      ASSERT_NEAR(expected[i], exact, 2e-6 * std::fabs(exact) + 1e-30);
    }
    const std::vector<float> down = random_.floats(50 * n_outputs);
    const Packed packed_down = Packed::of(type_, {down.data(), 50, n_outputs});
    std::vector<float> found(n_rows * 50), wanted(found);
    multiply(pool, gated, packed_down.matrix, {}, {found.data(), n_rows, 50});
    multiply(pool, input_of(type_, {expected.data(), n_rows, n_outputs}), packed_down.matrix, {},
             {wanted.data(), n_rows, 50});
    EXPECT_TRUE(same_bits(found, wanted));
  }
}

TEST_P(PackedMatmulTest, DoesNothingForNoRows) {
  ThreadPool pool(2);
  const std::vector<float> values(64 * 3);
  const Packed packed = Packed::of(type_, {values.data(), 64, 3});
  MatmulInput input, gated;
  input.reshape(type_, 0, 3);
  multiply(pool, input, packed.matrix, {}, {nullptr, 0, 64});
  multiply_add(pool, input, packed.matrix, {nullptr, 0, 64});
  multiply_silu_gate(pool, input, packed.matrix, 32, gated);
  EXPECT_EQ(gated.n_rows(), 0u);
  EXPECT_EQ(gated.n_inputs(), 32u);
}

// The memory of an input is kept from use to use: what was there before must not come back.
TEST_P(PackedMatmulTest, ForgetsWhatAnInputHeldBefore) {
  ThreadPool pool(1);
  const std::vector<float> values = random_.floats(10 * 300), large = random_.floats(20 * 300, 1000),
                           x = random_.floats(2 * 130);
  const Packed packed = Packed::of(type_, {values.data(), 10, 130});
  MatmulInput input = input_of(type_, {large.data(), 20, 300});
  input.reshape(type_, 2, 130);
  for (size_t row = 0; row < 2; ++row) input.set_row(row, std::span(x).subspan(row * 130, 130));
  std::vector<float> found(20), expected(20);
  multiply(pool, input, packed.matrix, {}, {found.data(), 2, 10});
  multiply(pool, input_of(type_, {x.data(), 2, 130}), packed.matrix, {}, {expected.data(), 2, 10});
  EXPECT_TRUE(same_bits(found, expected));
}

INSTANTIATE_TEST_SUITE_P(Types, PackedMatmulTest, ::testing::ValuesIn(kComputeTypes),
                         [](const auto& one) { return std::string(name_of(one.param)); });

TEST(PackedMatmulDeathTest, AbortsOnShapesThatDoNotFit) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ThreadPool pool(1);
  const std::vector<float> values(2 * 3), x(2 * 4);
  std::vector<float> out(4);
  const Packed packed = Packed::of(ComputeType::kF32, {values.data(), 2, 3});
  const MatmulInput input = input_of(ComputeType::kF32, {x.data(), 1, 3});
  const MatmulInput too_wide = input_of(ComputeType::kF32, {x.data(), 1, 4});
  const MatmulInput integers = input_of(ComputeType::kQ8, {x.data(), 1, 3});
  const Matrix fits = {out.data(), 1, 2};
  MatmulInput gated;
  EXPECT_DEATH(multiply(pool, too_wide, packed.matrix, {}, fits), "what the weights take");
  EXPECT_DEATH(multiply(pool, integers, packed.matrix, {}, fits), "what the weights take");
  EXPECT_DEATH(multiply(pool, input, packed.matrix, {}, {out.data(), 2, 2}), "a place for all");
  EXPECT_DEATH(multiply_add(pool, input, packed.matrix, {out.data(), 1, 3}), "a place for all");
  EXPECT_DEATH(multiply(pool, input, packed.matrix, out, fits), "one bias for each output");
  EXPECT_DEATH(multiply_silu_gate(pool, input, packed.matrix, 2, gated), "gate and up alternate");
}

}  // namespace
}  // namespace tandem::engine
