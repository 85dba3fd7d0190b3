// Sizes and pauses that the parts of Outstanding share.

#pragma once

#include <algorithm>

#include "shared/base/clock.h"

namespace tandem {

inline constexpr size_t kSubmitItemsMax = 256;
inline constexpr size_t kSubmitBytesMax = 4u << 20;

// `first`, doubled `n` times, at most `max`.
inline Duration doubled(Duration first, uint32_t n, Duration max) {
  Duration pause = first;
  for (uint32_t i = 0; i < n && pause < max; ++i) pause *= 2;
  return std::min(pause, std::max(first, max));
}

}  // namespace tandem
