// What tests of the innermost loops have in common.

#pragma once

#include <cstring>
#include <span>

#include "worker/engine/kernels/simd.h"

namespace tandem::testing {

// Those that must give the same bits as each other; the other ones round a product before they add it.
inline bool fuses(const engine::Simd& simd) {
  return simd.name != "sse4" && simd.name != "plain";
}

// Input i of a quantised row.
inline int quantized(const engine::Simd& simd, const std::byte* row, size_t i) {
  return simd.q8_input_bytes == 1 ? reinterpret_cast<const int8_t*>(row)[i]
                                  : reinterpret_cast<const int16_t*>(row)[engine::wide_place(i)];
}

template <typename T>
bool same_bits(std::span<const T> a, std::span<const T> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}
inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return same_bits<float>(a, b);
}

}  // namespace tandem::testing
