#include "worker/engine/tokenizer/splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace tandem::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kQwen =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::vector<std::string> split(const std::string& pattern, std::string_view text) {
  const auto splitter = Splitter::compile(pattern);
  EXPECT_TRUE(splitter) << (splitter ? "" : splitter.error().text);
  std::vector<std::string> pieces;
  if (splitter) splitter->split(text, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

TEST(SplitterTest, CutsAsQwenDoes) {
  EXPECT_THAT(split(kQwen, "Hello, you'RE 42  times ok!\n\n x"),
              ElementsAre("Hello", ",", " you", "'RE", " ", "4", "2", " ", " times", " ok", "!\n\n", " x"));
  EXPECT_THAT(split(kQwen, ""), ElementsAre());
  EXPECT_THAT(split(kQwen, "a   "), ElementsAre("a", "   "));
}

// U+180E was white space until Unicode 6.3, and still is to PCRE2.
TEST(SplitterTest, TakesWhiteSpaceAsUnicodeHasIt) {
  EXPECT_THAT(split(R"(\s+)", "a\u180Eb\u2003\u00A0\u0085c"),
              ElementsAre("a\u180Eb", "\u2003\u00A0\u0085", "c"));
  EXPECT_THAT(split(R"([^\s]+)", "a\u180Eb\u3000c"), ElementsAre("a\u180Eb", "\u3000", "c"));
  EXPECT_THAT(split(R"(\S+)", "a\u180Eb c"), ElementsAre("a\u180Eb", " ", "c"));
}

TEST(SplitterTest, KeepsWhatThePatternDoesNotMatch) {
  EXPECT_THAT(split("b+", "abbcb"), ElementsAre("a", "bb", "c", "b"));
  EXPECT_THAT(split("x", "abc"), ElementsAre("abc"));
  EXPECT_THAT(split("x*", "ab\u00E9"), ElementsAre("ab\u00E9"));  // empty matches cut nothing
}

TEST(SplitterTest, SaysWhatItCannotRead) {
  const auto error = [](const std::string& pattern) {
    const auto splitter = Splitter::compile(pattern);
    return splitter ? std::string("none") : splitter.error().text;
  };
  EXPECT_THAT(error("a(b"), HasSubstr("missing closing parenthesis"));
  EXPECT_THAT(error(R"(a\h)"), HasSubstr(R"(\h at byte 2)"));  // a hex digit to one, a space to the other
  EXPECT_THAT(error(R"([\S])"), HasSubstr(R"(\S in a character class)"));
  EXPECT_THAT(error("[a&&b]"), HasSubstr("set operation"));
  EXPECT_THAT(error("^a"), HasSubstr("anchor ^"));
  EXPECT_THAT(error("a\\"), HasSubstr("escapes nothing"));
  EXPECT_EQ(error("[]^]"), "none");
}

// A pattern that backtracks without end costs time up to the limit, not for ever, and no text is lost.
TEST(SplitterTest, GivesUpOnAPatternWithoutEnd) {
  const std::string text = std::string(40, 'a') + "b";
  std::string joined;
  for (const std::string& piece : split("(?:a+)+c|b", text)) joined += piece;
  EXPECT_EQ(joined, text);
}

TEST(SplitterTest, TakesMillionsOfCharactersInOnePiece) {
  const std::string spaces(4u << 20, ' ');
  EXPECT_THAT(split(kQwen, spaces + "x"), ElementsAre(spaces.substr(1), " x"));
  const std::string letters(4u << 20, 'x');
  EXPECT_THAT(split(kQwen, letters), ElementsAre(letters));
}

}  // namespace
}  // namespace tandem::engine
