#include "worker/engine/tokenizer/nfc.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <random>

namespace tandem::engine {
namespace {

std::string utf8(utf8proc_int32_t character) {
  utf8proc_uint8_t bytes[4];
  const auto n = utf8proc_encode_char(character, bytes);
  return std::string(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
}

bool is_character(utf8proc_int32_t c) {
  return c < 0xD800 || c > 0xDFFF;
}

TEST(NfcTest, JoinsSortsAndReplaces) {
  EXPECT_EQ(to_nfc("e\u0301"), "\u00E9");
  EXPECT_EQ(to_nfc("\u212B"), "\u00C5");                // Angstrom sign
  EXPECT_EQ(to_nfc("q\u0307\u0323"), "q\u0323\u0307");  // marks below come first
  EXPECT_EQ(to_nfc("\u1112\u1161\u11AB"), "\uD55C");    // Hangul
  EXPECT_EQ(to_nfc("\u304B\u3099"), "\u304C");          // ka with a voicing mark
  EXPECT_EQ(to_nfc(std::string("a\0b", 3)), std::string("a\0b", 3));
  EXPECT_EQ(to_nfc(""), "");
}

// The shortcut may only pass what form C never changes: no character that changes alone, none that is moved
// (a combining class), none that joins the one before it.
TEST(NfcTest, TheQuickLookPassesOnlyWhatCannotChange) {
  std::vector<bool> joins(0x110000);
  for (utf8proc_int32_t c = 0; c < 0x110000; ++c) {
    if (!is_character(c)) continue;
    utf8proc_int32_t parts[8];
    int boundary = 0;
    const auto n = utf8proc_decompose_char(c, parts, 8, UTF8PROC_COMPOSE, &boundary);
    for (int i = 1; i < n; ++i) joins[static_cast<size_t>(parts[i])] = true;
  }
  size_t n_quick = 0;
  for (utf8proc_int32_t c = 0; c < 0x110000; ++c) {
    if (!is_character(c) || !is_surely_nfc(utf8(c))) continue;
    ++n_quick;
    ASSERT_EQ(to_nfc(utf8(c)), utf8(c)) << std::hex << c;
    ASSERT_EQ(utf8proc_get_property(c)->combining_class, 0) << std::hex << c;
    ASSERT_FALSE(joins[static_cast<size_t>(c)]) << std::hex << c;
  }
  EXPECT_GT(n_quick, 80'000u);
}

TEST(NfcTest, AgreesWithTheLibraryOnRandomTexts) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (size_t n = random() % 12; n > 0; --n) {
      const auto any = static_cast<utf8proc_int32_t>(random() % 0x110000);
      const auto mark = static_cast<utf8proc_int32_t>(0x300 + random() % 0x70);
      const auto letter = static_cast<utf8proc_int32_t>(0x41 + random() % 0x1200);
      const auto c = random() % 3 == 0 ? any : random() % 2 == 0 ? mark : letter;
      if (is_character(c)) text += utf8(c);
    }
    utf8proc_uint8_t* expected = nullptr;
    const auto n = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                static_cast<utf8proc_ssize_t>(text.size()), &expected,
                                static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    ASSERT_GE(n, 0);
    ASSERT_EQ(to_nfc(text), std::string(reinterpret_cast<char*>(expected), static_cast<size_t>(n))) << text;
    std::free(expected);
  }
}

}  // namespace
}  // namespace tandem::engine
