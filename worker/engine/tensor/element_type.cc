#include "worker/engine/tensor/element_type.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "shared/base/assert.h"

namespace tandem::engine {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors are little-endian, and so is this reader");

uint16_t load_u16(const std::byte* stored, size_t i) {
  uint16_t bits = 0;
  std::memcpy(&bits, stored + i * 2, 2);
  return bits;
}

constexpr size_t kBlock = 32;

void widen_q8_0(const std::byte* stored, std::span<float> out) {
  for (size_t at = 0; at < out.size(); at += kBlock, stored += 2 + kBlock) {
    const float scale = widen_f16(load_u16(stored, 0));
    for (size_t i = 0; i < kBlock; ++i) {
      out[at + i] = static_cast<float>(static_cast<int8_t>(stored[2 + i])) * scale;
    }
  }
}

void widen_q4_0(const std::byte* stored, std::span<float> out) {
  constexpr size_t kHalf = kBlock / 2;
  for (size_t at = 0; at < out.size(); at += kBlock, stored += 2 + kHalf) {
    const float scale = widen_f16(load_u16(stored, 0));
    for (size_t i = 0; i < kHalf; ++i) {
      const int pair = std::to_integer<int>(stored[2 + i]);
      out[at + i] = static_cast<float>((pair & 15) - 8) * scale;
      out[at + kHalf + i] = static_cast<float>((pair >> 4) - 8) * scale;
    }
  }
}

}  // namespace

size_t block_elements(ElementType type) {
  return type == ElementType::kQ8_0 || type == ElementType::kQ4_0 ? kBlock : 1;
}

ElementType element_type_from(std::string_view name) {
  if (name == "F32") return ElementType::kF32;
  if (name == "F16") return ElementType::kF16;
  if (name == "BF16") return ElementType::kBf16;
  if (name == "Q8_0") return ElementType::kQ8_0;
  if (name == "Q4_0") return ElementType::kQ4_0;
  return ElementType::kOther;
}

size_t element_bytes(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, size_t>, 15> kBytes{{{"F32", 4},
                                                                               {"F16", 2},
                                                                               {"BF16", 2},
                                                                               {"F64", 8},
                                                                               {"BOOL", 1},
                                                                               {"U8", 1},
                                                                               {"I8", 1},
                                                                               {"F8_E5M2", 1},
                                                                               {"F8_E4M3", 1},
                                                                               {"U16", 2},
                                                                               {"I16", 2},
                                                                               {"U32", 4},
                                                                               {"I32", 4},
                                                                               {"U64", 8},
                                                                               {"I64", 8}}};
  for (const auto& [known, n_bytes] : kBytes) {
    if (known == name) return n_bytes;
  }
  return 0;
}

float widen_bf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

float widen_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24, which a float holds exactly
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign == 0 ? magnitude : -magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

void widen(ElementType type, const std::byte* stored, std::span<float> out) {
  switch (type) {
    case ElementType::kF32:
      std::memcpy(out.data(), stored, out.size_bytes());
      return;
    case ElementType::kF16:
      for (size_t i = 0; i < out.size(); ++i) out[i] = widen_f16(load_u16(stored, i));
      return;
    case ElementType::kBf16:
      for (size_t i = 0; i < out.size(); ++i) out[i] = widen_bf16(load_u16(stored, i));
      return;
    case ElementType::kQ8_0:
    case ElementType::kQ4_0:
      TANDEM_ASSERT(out.size() % kBlock == 0, "whole blocks are widened");
      return type == ElementType::kQ8_0 ? widen_q8_0(stored, out) : widen_q4_0(stored, out);
    case ElementType::kOther:
      break;
  }
  TANDEM_ASSERT(false, "only float types are widened");
}

uint16_t narrow_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);  // a quiet NaN
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

uint16_t narrow_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
  const uint32_t sign = bits >> 16 & 0x8000u;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7c00u);  // from 2^16 on
  if (magnitude < 0x38800000u) {  // zero or subnormal: a number of 2^-24
    return static_cast<uint16_t>(
        sign | static_cast<uint32_t>(std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p24f)));
  }
  return static_cast<uint16_t>(sign | (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13);
}

}  // namespace tandem::engine
