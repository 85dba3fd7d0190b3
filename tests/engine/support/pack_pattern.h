// Bytes that are known at every place, in the stead of weights.

#pragma once

#include <cstddef>

#include "worker/engine/model/packed_memory.h"

namespace tandem::testing {

inline std::byte pattern_at(size_t i) {
  return static_cast<std::byte>(i * 31 + i / 251 + 7);
}
inline void fill_pattern(std::byte* to, size_t n) {
  for (size_t i = 0; i < n; ++i) to[i] = pattern_at(i);
}
inline bool has_pattern(const std::byte* data, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (data[i] != pattern_at(i)) return false;
  }
  return true;
}

}  // namespace tandem::testing
