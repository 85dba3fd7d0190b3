#include "shared/base/utf8.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tandem {
namespace {

TEST(Utf8, KnowsWholeCharacters) {
  for (const std::string_view good : {"", "abc", "é", "界", "😄", "\u0080", "\u07ff", "\u0800", "\uffff",
                                      "\U00010000", "\U0010ffff", "\ud7ff", "\ue000"}) {
    EXPECT_TRUE(check_utf8(good)) << good;
    EXPECT_EQ(utf8_lossy(good), good);
  }
  EXPECT_TRUE(check_utf8(std::string_view("a\0b", 3))) << "a zero is a character";
}

// Each with the length of its valid beginning and what becomes of it (the "maximal subpart" practice).
TEST(Utf8, KnowsEverySortOfBrokenOnes) {
  struct Case {
    std::string_view bytes;
    size_t valid;
    std::string_view lossy;
  };
  const std::vector<Case> cases = {
      {"\x80", 0, "\uFFFD"},            // continues nothing
      {"a\xff", 1, "a\uFFFD"},          // never occurs
      {"\xc0\xaf", 0, "\uFFFD\uFFFD"},  // '/' in two bytes
      {"\xc1\xbf", 0, "\uFFFD\uFFFD"},
      {"\xe0\x80\xaf", 0, "\uFFFD\uFFFD\uFFFD"},  // in three
      {"\xf0\x80\x80\xaf", 0, "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xed\xa0\x80", 0, "\uFFFD\uFFFD\uFFFD"},            // a surrogate
      {"\xf4\x90\x80\x80", 0, "\uFFFD\uFFFD\uFFFD\uFFFD"},  // above U+10FFFF
      {"\xf5\x80\x80\x80", 0, "\uFFFD\uFFFD\uFFFD\uFFFD"},
      {"\xe7\x95", 0, "\uFFFD"},  // cut: one replacement for what was there
      {"\xf0\x9f\x98", 0, "\uFFFD"},
      {"\xe7\x95z", 0, "\uFFFDz"},
      {"ok\xe7\x95\x8c\xe7", 5, "ok界\uFFFD"},
      {"\xf1\x80\x80\xe1\x80\xc2", 0, "\uFFFD\uFFFD\uFFFD"},
  };
  for (const Case& one : cases) {
    EXPECT_FALSE(check_utf8(one.bytes));
    EXPECT_EQ(utf8_valid_prefix(one.bytes), one.valid);
    EXPECT_EQ(utf8_lossy(one.bytes), one.lossy);
  }
}

TEST(Utf8, SaysWhereAndWhat) {
  EXPECT_EQ(check_utf8("caf\xe9!").error().text, "expected UTF-8, found the bytes e9 21 at offset 3");
}

TEST(Utf8, CountsCharacters) {
  EXPECT_EQ(utf8_length(""), 0u);
  EXPECT_EQ(utf8_length("aé界😄"), 4u);
}

TEST(Utf8, MakesAnythingValid) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(random() % 12, '\0');
    for (char& byte : bytes)
      byte = static_cast<char>(random() % 3 == 0 ? random() % 128 : 128 + random() % 128);
    ASSERT_TRUE(check_utf8(utf8_lossy(bytes)));
    ASSERT_EQ(utf8_valid_prefix(bytes) == bytes.size(), utf8_lossy(bytes) == bytes);
  }
}

}  // namespace
}  // namespace tandem
