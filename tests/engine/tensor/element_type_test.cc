#include "worker/engine/tensor/element_type.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace tandem::engine {
namespace {

TEST(ElementTypeTest, WidensEveryHalfToTheValueThatItsBitsMean) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = static_cast<int>(bits >> 10 & 0x1f);
    const double fraction = bits & 0x3ff, sign = (bits & 0x8000) != 0 ? -1 : 1;
    const float found = widen_f16(static_cast<uint16_t>(bits));
    ASSERT_EQ(std::signbit(found), sign < 0) << bits;
    if (exponent == 31) {
      ASSERT_TRUE(fraction == 0 ? std::isinf(found) : std::isnan(found)) << bits;
      continue;
    }
    const double expected = exponent == 0 ? fraction * std::ldexp(1.0, -24)
                                          : (1 + fraction / 1024) * std::ldexp(1.0, exponent - 15);
    ASSERT_EQ(static_cast<double>(found), sign * expected) << bits;
  }
}

TEST(ElementTypeTest, WidensEveryBf16AndNarrowsItBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = widen_bf16(static_cast<uint16_t>(bits));
    ASSERT_EQ(std::bit_cast<uint32_t>(value), bits << 16);
    if (!std::isnan(value)) {
      ASSERT_EQ(narrow_bf16(value), bits);
    }
  }
  EXPECT_TRUE(std::isnan(widen_bf16(narrow_bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(ElementTypeTest, NarrowsToTheNearestAndTiesToEven) {
  EXPECT_EQ(narrow_bf16(std::bit_cast<float>(0x3f807fffu)), 0x3f80);
  EXPECT_EQ(narrow_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(narrow_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(narrow_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
}

// Between each f16 and the next lie values that are nearer to one of them, and the middle.
TEST(ElementTypeTest, NarrowsEveryFloatToTheNearestF16) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (uint16_t half = 0; half < 0x7c00; ++half) {
    const float value = widen_f16(half);
    const uint16_t next = static_cast<uint16_t>(half + 1);  // behind the largest one comes infinity
    const float middle = (value + (next == 0x7c00 ? 65536.0f : widen_f16(next))) / 2;
    ASSERT_EQ(narrow_f16(value), half);
    ASSERT_EQ(narrow_f16(-value), half | 0x8000);
    ASSERT_EQ(narrow_f16(middle), half % 2 == 0 ? half : next) << middle;
    ASSERT_EQ(narrow_f16(std::nextafter(middle, 0.0f)), half) << middle;
    ASSERT_EQ(narrow_f16(-std::nextafter(middle, kInfinity)), next | 0x8000) << middle;
  }
  for (const float large : {65536.0f, 1e30f, kInfinity}) EXPECT_EQ(narrow_f16(large), 0x7c00);
  EXPECT_TRUE(std::isnan(widen_f16(narrow_f16(std::numeric_limits<float>::quiet_NaN()))));
}

// A tensor may begin at any byte of a file.
TEST(ElementTypeTest, WidensFromAnyAlignment) {
  const float values[] = {1.5f, -2.25f, 0.0f};
  std::vector<std::byte> stored(1 + sizeof values);
  std::memcpy(stored.data() + 1, values, sizeof values);
  std::vector<float> out(3);
  widen(ElementType::kF32, stored.data() + 1, out);
  EXPECT_EQ(out, std::vector<float>(std::begin(values), std::end(values)));

  const uint16_t halves[] = {0x3f80, 0xc000};
  std::memcpy(stored.data() + 1, halves, sizeof halves);
  out.resize(2);
  widen(ElementType::kBf16, stored.data() + 1, out);
  EXPECT_EQ(out, (std::vector<float>{1, -2}));
  widen(ElementType::kF16, stored.data() + 1, out);
  EXPECT_EQ(out, (std::vector<float>{1.875f, -2}));
}

TEST(ElementTypeTest, KnowsTheTypesOfSafetensors) {
  EXPECT_EQ(element_type_from("BF16"), ElementType::kBf16);
  EXPECT_EQ(element_type_from("I64"), ElementType::kOther);
  EXPECT_EQ(element_bytes("I64"), 8u);
  EXPECT_EQ(element_bytes("f32"), 0u);
}

}  // namespace
}  // namespace tandem::engine
