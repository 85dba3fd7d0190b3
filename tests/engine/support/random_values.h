// Seeded numbers for comparing kernels with their plain references; the seed is told when a test fails.

#pragma once

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tandem::testing {

class RandomValues {
 public:
  explicit RandomValues(uint32_t seed)
      : random_(seed), trace_(__FILE__, __LINE__, "seed " + std::to_string(seed)) {}

  std::vector<float> floats(size_t n, float deviation = 1) {
    std::normal_distribution<float> normal(0, deviation);
    std::vector<float> values(n);
    for (float& value : values) value = normal(random_);
    return values;
  }
  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

 private:
  std::mt19937 random_;
  ::testing::ScopedTrace trace_;
};

}  // namespace tandem::testing
