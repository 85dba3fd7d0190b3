// How large values were, counted in buckets: enough for quantiles, for any number of values.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace tandem {

// Bucket i counts values above the end of the one before up to kEnds[i], in ascending order; there is one
// more without an end.
template <uint64_t... kEnds>
class Buckets {
 public:
  static constexpr std::array<uint64_t, sizeof...(kEnds)> kUpTo = {kEnds...};

  void add(uint64_t value) {
    const auto bucket = std::lower_bound(kUpTo.begin(), kUpTo.end(), value);
    ++counts_[static_cast<size_t>(bucket - kUpTo.begin())];
    sum_ += value;
  }

  const std::array<uint64_t, sizeof...(kEnds) + 1>& counts() const { return counts_; }
  uint64_t sum() const { return sum_; }

 private:
  std::array<uint64_t, sizeof...(kEnds) + 1> counts_{};
  uint64_t sum_ = 0;
};

}  // namespace tandem
