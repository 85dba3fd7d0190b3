// The small kernels, each against a plain reference in double.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/engine/support/golden.h"
#include "tests/engine/support/random_values.h"
#include "worker/engine/kernels/matmul.h"
#include "worker/engine/kernels/rope.h"

namespace tandem::engine {
namespace {

using testing::RandomValues;

// Sizes around the slice and unroll borders, and one of a real model.
TEST(MatmulTest, MultipliesLikeTheSumsItStandsFor) {
  RandomValues random(1);
  for (const size_t n_threads : {1, 2, 5}) {
    ThreadPool pool(n_threads);
    for (const auto& [n, m, k] : {std::tuple<size_t, size_t, size_t>{1, 1, 1},
                                  {1, 17, 3},
                                  {2, 16, 5},
                                  {7, 33, 64},
                                  {1, 1024, 1024},
                                  {3, 2816, 96},
                                  {33, 80, 100}}) {
      SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m) + " x " + std::to_string(k));
      const std::vector<float> x = random.floats(n * k), weights = random.floats(m * k),
                               bias = random.floats(m);
      std::vector<float> out(n * m, std::numeric_limits<float>::quiet_NaN()), plain = out;
      matmul(pool, {x.data(), n, k},
             {{{weights.data(), m, k}, bias, {out.data(), n, m}},
              {{weights.data(), m, k}, {}, {plain.data(), n, m}}});
      for (size_t t = 0; t < n; ++t) {
        for (size_t o = 0; o < m; ++o) {
          double sum = 0, magnitude = 1;
          for (size_t i = 0; i < k; ++i) {
            const double product = static_cast<double>(x[t * k + i]) * weights[o * k + i];
            sum += product;
            magnitude += std::fabs(product);
          }
          ASSERT_NEAR(plain[t * m + o], sum, 1e-5 * magnitude);
          ASSERT_NEAR(out[t * m + o], sum + bias[o], 1e-5 * magnitude);
        }
      }
    }
  }
}

TEST(MatmulTest, DoesNothingForNoRows) {
  ThreadPool pool(2);
  const std::vector<float> weights(6);
  matmul(pool, {nullptr, 0, 3}, {{{weights.data(), 2, 3}, {}, {nullptr, 0, 2}}});
}

TEST(MatmulDeathTest, AbortsOnShapesThatDoNotFit) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ThreadPool pool(1);
  std::vector<float> x(4), weights(6), out(2);
  EXPECT_DEATH(matmul(pool, {x.data(), 1, 4}, {{{weights.data(), 2, 3}, {}, {out.data(), 1, 2}}}),
               "weights take");
}

TEST(RopeTest, AgreesWithTheRecordedExactTables) {
  const auto arrays = testing::load_arrays("data/golden/golden/rope.safetensors");
  const size_t positions[] = {0, 1, 2, 17, 300, 1023, 4096, 32767, 131071};
  for (const auto& [name, theta, d_head] :
       {std::tuple<const char*, double, size_t>{"theta1000000_hd64", 1e6, 64},
        {"theta5000000_hd128", 5e6, 128},
        {"theta1000000_hd16", 1e6, 16}}) {
    RopeTable table(theta, d_head);
    table.grow_to(131072);
    std::vector<float> cosines, sines;
    for (const size_t position : positions) {
      cosines.insert(cosines.end(), table.cosines(position).begin(), table.cosines(position).end());
      sines.insert(sines.end(), table.sines(position).begin(), table.sines(position).end());
    }
    EXPECT_LE(testing::compare(cosines, arrays.at(std::string(name) + ".cos_exact").values).max_abs, 2e-7)
        << name;
    EXPECT_LE(testing::compare(sines, arrays.at(std::string(name) + ".sin_exact").values).max_abs, 2e-7)
        << name;
  }
}

TEST(RopeTest, TurnsTheHalvesOfEachHeadByTheAngleOfThePosition) {
  RandomValues random(3);
  RopeTable table(1e6, 16);
  table.grow_to(40);
  const uint32_t positions[] = {0, 5, 39};
  const std::vector<float> x = random.floats(3 * 2 * 16);
  std::vector<float> turned = x;
  for (size_t t = 0; t < 3; ++t) rope(table, positions[t], std::span(turned).subspan(t * 32, 32));
  for (size_t t = 0; t < 3; ++t) {
    for (size_t head = 0; head < 2; ++head) {
      for (size_t i = 0; i < 8; ++i) {
        const size_t low = t * 32 + head * 16 + i, high = low + 8;
        const double angle = positions[t] * std::pow(1e6, -2.0 * static_cast<double>(i) / 16);
        ASSERT_NEAR(turned[low], x[low] * std::cos(angle) - x[high] * std::sin(angle), 1e-6);
        ASSERT_NEAR(turned[high], x[high] * std::cos(angle) + x[low] * std::sin(angle), 1e-6);
      }
    }
  }
}

TEST(RopeTest, KeepsWhatItHasWhenTheTableGrows) {
  RopeTable small(1e4, 8), large(1e4, 8);
  large.grow_to(5000);
  for (const size_t n : {1, 256, 257, 5000}) small.grow_to(n);
  for (size_t p = 0; p < 5000; ++p) {
    ASSERT_THAT(small.cosines(p), ::testing::ElementsAreArray(large.cosines(p)));
    ASSERT_THAT(small.sines(p), ::testing::ElementsAreArray(large.sines(p)));
  }
}

TEST(RopeDeathTest, AbortsOnAPositionOutsideTheTable) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  RopeTable table(1e4, 8);
  table.grow_to(10);
  std::vector<float> x(8);
  const uint32_t position = static_cast<uint32_t>(table.n_positions());
  EXPECT_DEATH(rope(table, position, x), "grown");
}

}  // namespace
}  // namespace tandem::engine
