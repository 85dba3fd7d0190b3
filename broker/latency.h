// How long something took, counted in buckets: enough for quantiles, for any number of jobs.

#pragma once

#include <algorithm>
#include <cstdint>

#include "shared/base/buckets.h"

namespace tandem::broker {

// Milliseconds up to an hour, in buckets that a graph can show.
class Latency : public Buckets<1, 2, 5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000, 30'000,
                               60'000, 300'000, 1'200'000, 3'600'000> {
 public:
  // The wall clock may jump back: then it took no time.
  void add(int64_t ms) { Buckets::add(static_cast<uint64_t>(std::max<int64_t>(ms, 0))); }
};

}  // namespace tandem::broker
