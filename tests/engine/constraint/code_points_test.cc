#include "worker/engine/constraint/code_points.h"

#include <gtest/gtest.h>

#include <random>

#include "shared/base/utf8.h"

namespace tandem::engine {
namespace {

std::string utf8_of(char32_t c) {
  std::string text;
  const auto sequences = utf8_sequences({{c, c}});
  for (const ByteRange& byte : sequences.at(0)) text += static_cast<char>(byte.first);
  return text;
}

bool fits(const std::vector<std::vector<ByteRange>>& sequences, std::string_view text) {
  int n_fitting = 0;
  for (const auto& sequence : sequences) {
    bool fitting = sequence.size() == text.size();
    for (size_t i = 0; fitting && i < text.size(); ++i) {
      const auto byte = static_cast<uint8_t>(text[i]);
      fitting = sequence[i].first <= byte && byte <= sequence[i].last;
    }
    n_fitting += fitting;
  }
  EXPECT_LE(n_fitting, 1) << "two sequences for one text";
  return n_fitting > 0;
}

TEST(CodePointsTest, JoinsWhatTouches) {
  CodePoints set{{'a', 'c'}, {'x', 'z'}, {'d', 'f'}};
  EXPECT_EQ(set, (CodePoints{{'a', 'f'}, {'x', 'z'}}));
  set.add('g', 'w');
  EXPECT_EQ(set, (CodePoints{{'a', 'z'}}));
}

TEST(CodePointsTest, HasNoSurrogates) {
  EXPECT_EQ(CodePoints::any(), (CodePoints{{0, 0xD7FF}, {0xE000, 0x10FFFF}}));
  EXPECT_TRUE((CodePoints{{0xD800, 0xDFFF}}).empty());
  EXPECT_TRUE(CodePoints::any().complement().empty());
}

TEST(CodePointsTest, TheComplementHasWhatTheSetHasNot) {
  const CodePoints set{{0, 9}, {'a', 'z'}, {0x10FFFF, 0x10FFFF}};
  EXPECT_EQ(set.complement(), (CodePoints{{10, 'a' - 1}, {'z' + 1, 0x10FFFE}}));
  EXPECT_EQ(set.complement().complement(), set);
  EXPECT_EQ(set.without({{'b', 'y'}}), (CodePoints{{0, 9}, {'a', 'a'}, {'z', 'z'}, {0x10FFFF, 0x10FFFF}}));
}

// The borders of UTF-8's lengths and of the surrogates, where mistakes live, and random ranges.
TEST(CodePointsTest, IsWrittenInBytesAsUtf8Is) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::vector<char32_t> borders{0,      0x7F,   0x80,   0x7FF,   0x800,   0xFFF,   0x1000,
                                      0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x3FFFF, 0x40000, 0x10FFFF};
  const auto any = [&]() -> char32_t {
    if (random() % 2 == 0) return borders[random() % borders.size()];
    return static_cast<char32_t>(random() % 0x110000);
  };
  for (int round = 0; round < 200; ++round) {
    CodePoints set;
    for (int i = 0; i < 3; ++i) {
      const char32_t a = any(), b = any();
      set.add(std::min(a, b), std::max(a, b));
    }
    const auto sequences = utf8_sequences(set);
    for (int i = 0; i < 100; ++i) {
      const char32_t c = any();
      if (c >= 0xD800 && c <= 0xDFFF) continue;
      ASSERT_TRUE(check_utf8(utf8_of(c)));
      ASSERT_EQ(fits(sequences, utf8_of(c)), set.contains(c)) << "U+" << std::hex << uint32_t{c};
    }
  }
}

TEST(CodePointsTest, NeverFitsBytesThatAreNoUtf8) {
  const auto sequences = utf8_sequences(CodePoints::any());
  for (const char* text : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                           "\xF4\x90\x80\x80", "\xFF", "\xE4\xBD"}) {
    EXPECT_FALSE(fits(sequences, text));
  }
  EXPECT_TRUE(fits(sequences, "\xF4\x8F\xBF\xBF"));
}

}  // namespace
}  // namespace tandem::engine
