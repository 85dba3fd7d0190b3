// How long something took, counted in buckets: enough for quantiles, for any number of jobs.

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace tandem::broker {

// Milliseconds up to an hour, in buckets that a graph can show; the last one has no upper end.
class Latency {
 public:
  static constexpr std::array<uint32_t, 18> kUpTo = {1,      2,      5,      10,      20,        50,
                                                     100,    200,    500,    1'000,   2'000,     5'000,
                                                     10'000, 30'000, 60'000, 300'000, 1'200'000, 3'600'000};

  void add(int64_t ms) {
    const auto value = static_cast<uint64_t>(std::max<int64_t>(ms, 0));
    const auto bucket = std::lower_bound(kUpTo.begin(), kUpTo.end(), value);
    ++counts_[static_cast<size_t>(bucket - kUpTo.begin())];
    sum_ms_ += value;
  }

  // Of bucket i, above the end of the one before up to kUpTo[i]; the last one: above all.
  const std::array<uint64_t, kUpTo.size() + 1>& counts() const { return counts_; }
  uint64_t sum_ms() const { return sum_ms_; }

 private:
  std::array<uint64_t, kUpTo.size() + 1> counts_{};
  uint64_t sum_ms_ = 0;
};

}  // namespace tandem::broker
