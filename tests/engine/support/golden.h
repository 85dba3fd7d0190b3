// The recorded outputs in tests/data/golden: what the official implementation computes from the tiny models.

#pragma once

#include <cstdio>
#include <cstdlib>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "worker/engine/model/model.h"
#include "worker/engine/tokens.h"

namespace tandem::testing {

struct GoldenArray {
  std::vector<uint64_t> shape;
  std::vector<float> values;
};

struct GoldenCase {
  std::string name;
  engine::Tokens tokens;
  engine::Tokens greedy_32;
  std::vector<double> greedy_margins;
  std::vector<size_t> sel_positions;
};

// Tests run in tests/, so that this is a relative path.
inline constexpr char kGoldenModels[] = "data/golden/models/";

class Golden {
 public:
  // Of "qwen2-gqa" and so on. A test without its data is a broken checkout: aborts.
  static Golden load(const std::string& model);

  const std::vector<GoldenCase>& cases() const { return cases_; }
  const GoldenCase& find(const std::string& name) const;
  bool has(const std::string& array) const { return arrays_.contains(array); }
  const GoldenArray& array(const std::string& name) const;

 private:
  std::vector<GoldenCase> cases_;
  std::map<std::string, GoldenArray> arrays_;
};

// All arrays of a safetensors file of F32 tensors.
std::map<std::string, GoldenArray> load_arrays(const std::string& path);

// Largest error and rms error over the standard deviation of the reference.
struct Difference {
  double max_abs = 0, nrms = 0;
};
Difference compare(std::span<const float> found, std::span<const float> expected);

// How near an engine must come; tests/README.md says where the figures are from. A greedy path may leave the
// recorded one where the gap between the two best logits is below `margin`.
struct Tolerance {
  double max_abs, nrms, margin;
};
inline constexpr Tolerance kFloatTolerance{5e-4, 2e-5, 1e-3};  // other orders of the same float sums
inline constexpr Tolerance kKv16Tolerance{5e-2, 4e-3, 1e-1};   // keys and values rounded to 11 bits
inline constexpr Tolerance kBf16Tolerance{1.0, 8e-2, 1.0};     // weights rounded to 8 bits
inline constexpr Tolerance kQ8Tolerance{3.0, 1.8e-1, 3.0};     // weights and inputs of products as q8

#define EXPECT_WITHIN(found, expected, tolerance)                                \
  do {                                                                           \
    const auto golden_difference_ = ::tandem::testing::compare(found, expected); \
    EXPECT_LE(golden_difference_.max_abs, (tolerance).max_abs);                  \
    EXPECT_LE(golden_difference_.nrms, (tolerance).nrms);                        \
  } while (false)
#define EXPECT_GOLDEN(found, expected) EXPECT_WITHIN(found, expected, ::tandem::testing::kFloatTolerance)

// The value of a Result that must be there; aborts with its error otherwise.
template <typename T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "test data or set-up failed: %s\n", result.error().text.c_str());
    std::abort();
  }
  return std::move(*result);
}

}  // namespace tandem::testing
