// How the numbers of a stored tensor are written, and the way from there to float.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tandem::engine {

// The types that weights may have. Other types may be in a file; nothing asks for them. The last two are
// GGUF's and store blocks of 32 neighbours with one f16 scale d in front:
//
//   kQ8_0  34 bytes   element i is q[i] * d, q[i] the signed byte i
//   kQ4_0  18 bytes   element i is (q[i] - 8) * d, q[i] the low half of byte i, from element 16 on the high
//                     half of byte i - 16
enum class ElementType : uint8_t { kF32, kF16, kBf16, kQ8_0, kQ4_0, kOther };

// What can be read, for messages: "expected type ...".
inline constexpr const char* kElementTypes = "F32, F16, BF16, Q8_0 or Q4_0";

// "F32", "F16", "BF16", "Q8_0", "Q4_0"; kOther for everything else.
ElementType element_type_from(std::string_view name);

// Elements that are stored together: 32 for the types in blocks, 1 for the others.
size_t block_elements(ElementType type);

// Bytes of one element by the safetensors name of its type; 0 for a name that is not known.
size_t element_bytes(std::string_view name);

// bf16 is the upper half of a float; f16 is IEEE 754 binary16 (subnormals, infinities and NaN kept). Exact.
float widen_bf16(uint16_t bits);
float widen_f16(uint16_t bits);

// Writes out.size() elements from `stored` (little-endian, any alignment), whole blocks of them. Exactly: a
// product of a small integer and an f16 fits a float. `type` is not kOther.
void widen(ElementType type, const std::byte* stored, std::span<float> out);

// The nearest bf16 and f16 (ties to even), as checkpoints are written; NaN stays NaN, and what is too large
// becomes infinite.
uint16_t narrow_bf16(float value);
uint16_t narrow_f16(float value);

}  // namespace tandem::engine
