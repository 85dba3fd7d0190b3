#include "worker/engine/kernels/packed_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/support/packed.h"
#include "tests/engine/support/random_values.h"
#include "tests/engine/support/simds.h"
#include "worker/engine/tensor/element_type.h"

namespace tandem::engine {
namespace {

using testing::kComputeTypes;
using testing::Packed;
using testing::RandomValues;
using testing::same_bits;

struct Shape {
  size_t n_outputs, n_inputs;
};
// Around the borders of panels and blocks.
constexpr Shape kShapes[] = {{1, 1},    {1, 300},  {31, 127},  {32, 128},
                             {33, 129}, {64, 256}, {100, 300}, {257, 65}};

TEST(PackedMatrixTest, GivesBackTheWeightsAsPreciselyAsItsTypeHoldsThem) {
  RandomValues random(8);
  for (const auto& [n_outputs, n_inputs] : kShapes) {
    SCOPED_TRACE(std::to_string(n_outputs) + " x " + std::to_string(n_inputs));
    const std::vector<float> values = random.floats(n_outputs * n_inputs);
    const ConstMatrix matrix = {values.data(), n_outputs, n_inputs};
    EXPECT_EQ(Packed::of(ComputeType::kF32, matrix).unpacked(), values);

    std::vector<float> rounded = values;
    for (float& value : rounded) value = widen_bf16(narrow_bf16(value));
    EXPECT_EQ(Packed::of(ComputeType::kBf16, matrix).unpacked(), rounded);

    const std::vector<float> q8 = Packed::of(ComputeType::kQ8, matrix).unpacked();
    for (size_t o = 0; o < n_outputs; ++o) {
      for (size_t first = 0; first < n_inputs; first += kBlockInputs) {
        const auto block = matrix.row(o).subspan(first, std::min(kBlockInputs, n_inputs - first));
        float largest = 0;
        for (const float value : block) largest = std::max(largest, std::fabs(value));
        for (size_t i = 0; i < block.size(); ++i) {
          ASSERT_NEAR(q8[o * n_inputs + first + i], block[i], 0.50001 * largest / 127);
        }
      }
    }
  }
}

// So that a model which is stored in 8 bits already loses nothing more.
TEST(PackedMatrixTest, KeepsWholeNumbersOfStepsInQ8) {
  RandomValues random(9);
  std::vector<float> values(40 * 200);
  for (float& value : values) value = (static_cast<float>(random.below(255)) - 127) / 128;
  for (size_t o = 0; o < 40; ++o) values[o * 200] = values[o * 200 + 128] = 127.0f / 128;  // scale is 1 / 128
  EXPECT_EQ(Packed::of(ComputeType::kQ8, {values.data(), 40, 200}).unpacked(), values);
}

TEST(PackedMatrixTest, TakesOutputsThatItsSourceLeavesAloneForZeros) {
  ThreadPool pool(3);
  for (const ComputeType type : kComputeTypes) {
    Packed packed = Packed::of_shape(type, 70, 130);
    pack(
        pool, packed.matrix,
        [](size_t output, std::span<float> row) {
          if (output % 2 == 1) std::fill(row.begin(), row.end(), 1.0f);
        },
        packed.bytes());
    const std::vector<float> values = packed.unpacked();
    for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], i / 130 % 2 == 1 ? 1.0f : 0.0f);
  }
}

TEST(PackedMatrixTest, IsPackedToTheSameBytesByAnyNumberOfThreads) {
  RandomValues random(10);
  const std::vector<float> values = random.floats(200 * 150);
  for (const ComputeType type : kComputeTypes) {
    std::vector<std::string> bytes;
    for (const size_t n_threads : {1, 2, 5}) {
      ThreadPool pool(n_threads);
      Packed packed = Packed::of_shape(type, 200, 150);
      pack(
          pool, packed.matrix,
          [&](size_t o, std::span<float> row) { std::copy_n(&values[o * 150], 150, row.begin()); },
          packed.bytes());
      bytes.emplace_back(reinterpret_cast<const char*>(packed.bytes()), packed.matrix.n_bytes());
    }
    EXPECT_EQ(bytes[0], bytes[1]) << name_of(type);
    EXPECT_EQ(bytes[0], bytes[2]) << name_of(type);
  }
}

TEST(PackOutputsTest, TakesTheSameWeightsInTheOrderAskedFor) {
  RandomValues random(11);
  const std::vector<float> values = random.floats(100 * 150);
  std::vector<int32_t> outputs = {99, 0, 31, 32, 31};  // one twice
  for (int32_t o = 10; o < 50; ++o) outputs.push_back(o);
  for (const ComputeType type : kComputeTypes) {
    const Packed all = Packed::of(type, {values.data(), 100, 150});
    Packed some = Packed::of_shape(type, outputs.size(), 150);
    pack_outputs(all.matrix, outputs, some.bytes());
    const std::vector<float> before = all.unpacked(), after = some.unpacked();
    for (size_t i = 0; i < outputs.size(); ++i) {
      ASSERT_TRUE(same_bits(std::span(after).subspan(i * 150, 150),
                            std::span(before).subspan(static_cast<size_t>(outputs[i]) * 150, 150)))
          << name_of(type) << " " << outputs[i];
    }
  }
}

TEST(PackedMatrixDeathTest, AbortsOnOutputsThatAreNotThere) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::vector<float> values(6);
  const Packed packed = Packed::of(ComputeType::kF32, {values.data(), 2, 3});
  std::vector<float> row(3), short_row(2);
  EXPECT_DEATH(packed.matrix.unpack(2, row), "an output of this matrix");
  EXPECT_DEATH(packed.matrix.unpack(1, short_row), "with all its inputs");
  for (const int32_t wrong : {2, -1}) {
    Packed some = Packed::of_shape(ComputeType::kF32, 1, 3);
    EXPECT_DEATH(pack_outputs(packed.matrix, {&wrong, 1}, some.bytes()), "an output of this matrix");
  }
}

}  // namespace
}  // namespace tandem::engine
