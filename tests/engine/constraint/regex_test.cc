#include "worker/engine/constraint/regex.h"

#include <gmock/gmock.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tests/engine/constraint/random_text.h"
#include "worker/engine/constraint/grammar.h"

namespace tandem::engine {
namespace {

using tandem::testing::fits;
using tandem::testing::random_text;
using ::testing::HasSubstr;

bool fits_regex(const std::string& pattern, std::string_view text) {
  const auto grammar = grammar_of_regex(pattern);
  EXPECT_TRUE(grammar) << pattern << ": " << grammar.error().text;
  return grammar && fits(*grammar, text);
}
std::string mistake(const std::string& pattern) {
  const auto grammar = grammar_of_regex(pattern);
  return grammar ? "" : grammar.error().text;
}

// A second opinion that shares no code with ours.
class Pcre {
 public:
  explicit Pcre(const std::string& pattern) {
    int code = 0;
    PCRE2_SIZE at = 0;
    const std::string whole = "\\A(?:" + pattern + ")\\z";
    compiled_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(whole.data()), whole.size(), PCRE2_UTF, &code, &at,
                              nullptr);
    EXPECT_NE(compiled_, nullptr) << pattern;
    data_ = pcre2_match_data_create(1, nullptr);
  }
  ~Pcre() {
    pcre2_match_data_free(data_);
    pcre2_code_free(compiled_);
  }
  Pcre(const Pcre&) = delete;
  Pcre& operator=(const Pcre&) = delete;
  bool fits(std::string_view text) const {
    return pcre2_match(compiled_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data_,
                       nullptr) >= 0;
  }

 private:
  pcre2_code* compiled_ = nullptr;
  pcre2_match_data* data_ = nullptr;
};

TEST(RegexTest, FitsTheWholeText) {
  EXPECT_TRUE(fits_regex("a+b", "aab"));
  EXPECT_FALSE(fits_regex("a+b", "aabc"));
  EXPECT_FALSE(fits_regex("a+b", "caab"));
  EXPECT_TRUE(fits_regex("^a|b$", "a"));
  EXPECT_FALSE(fits_regex("^a|b$", "ab"));
  EXPECT_TRUE(fits_regex(R"(\d{4}-(0[1-9]|1[0-2])-[0-3]\d)", "2026-11-21"));
  EXPECT_FALSE(fits_regex(R"(\d{4}-(0[1-9]|1[0-2])-[0-3]\d)", "2026-13-21"));
}

TEST(RegexTest, CountsCharactersNotBytes) {
  EXPECT_TRUE(fits_regex(".{2}", "你好"));
  EXPECT_FALSE(fits_regex(".{2}", "你"));
  EXPECT_TRUE(fits_regex("[你-好]+", "好"));
  EXPECT_TRUE(fits_regex("[^a]", "😄"));
  EXPECT_FALSE(fits_regex("[^a]", "\xF0\x9F"));
  EXPECT_TRUE(fits_regex(R"(\u4F60\u{1F604}\x41)", "你😄A"));
}

TEST(RegexTest, ADotIsAnythingButALineFeed) {
  EXPECT_FALSE(fits_regex(".", "\n"));
  EXPECT_TRUE(fits_regex("[^x]", "\n"));
  EXPECT_TRUE(fits_regex(R"(\s\S)", "\ta"));
}

TEST(RegexTest, BracesAndBracketsThatCloseNothingAreThemselves) {
  EXPECT_TRUE(fits_regex(R"(\{"a": \d\})", R"({"a": 1})"));
  EXPECT_TRUE(fits_regex("a}]", "a}]"));
  EXPECT_TRUE(fits_regex(R"([\]\[-]+)", "[-]"));
}

TEST(RegexTest, SaysWhereAMistakeIs) {
  EXPECT_EQ(mistake("ab("), "regex, character 4: expected ) of a group, found the end");
  EXPECT_EQ(mistake("ab)"), "regex, character 3: expected a group that is open, found ')'");
  EXPECT_EQ(mistake("*a"), "regex, character 1: expected something to repeat, found '*'");
  EXPECT_EQ(mistake("a**"), "regex, character 3: expected something to repeat, found '*'");
  EXPECT_THAT(mistake("你[a"), HasSubstr("character 4: expected ] of a class, found the end"));
  EXPECT_THAT(mistake("[z-a]"), HasSubstr("character 5: expected a range in order in front of this"));
  EXPECT_THAT(mistake("a{3,2}"), HasSubstr("character 6: expected a second number that is not smaller"));
  EXPECT_THAT(mistake("a{99999}"), HasSubstr("expected a number up to 10000"));
  EXPECT_THAT(mistake("a{b}"), HasSubstr("character 3: expected a number"));
  EXPECT_THAT(mistake("[]"), HasSubstr("character 2: expected something in the class"));
  EXPECT_THAT(mistake(R"([^\s\S])"), HasSubstr("expected a class that has a character"));
  EXPECT_THAT(mistake(R"(\uD800)"), HasSubstr("expected the number of a character"));
  EXPECT_THAT(mistake("\\"), HasSubstr("character 2"));
  EXPECT_THAT(mistake(""), HasSubstr("expected a pattern, found nothing"));
  EXPECT_THAT(mistake("()|a{0}"), HasSubstr("for the empty text only"));
  EXPECT_THAT(mistake("\xFF"), HasSubstr("regex: "));
  EXPECT_THAT(mistake(std::string(100, '(') + std::string(100, ')')),
              HasSubstr("expected at most 64 groups"));
}

TEST(RegexTest, RefusesWhatNoAutomatonCanDo) {
  for (const char* pattern : {R"((a)\1)", "(?=a)b", "(?<n>a)", "a*?", "a++", R"(\bword)", R"(\p{L})", "(?i)a",
                              "a^b", "a$b", "(^a)", "[[:alpha:]]", R"(\012)", R"([\b])"}) {
    const auto grammar = grammar_of_regex(pattern);
    ASSERT_FALSE(grammar) << pattern;
    EXPECT_EQ(grammar.error().code, ErrorCode::kUnsupported) << pattern << ": " << grammar.error().text;
    EXPECT_THAT(grammar.error().text, HasSubstr("character ")) << pattern;
  }
}

TEST(RegexTest, ASearchAllowsAnythingWhereThereIsNoAnchor) {
  const auto fits_search = [](const std::string& pattern, std::string_view text) {
    auto parsed = parse_regex(pattern, RegexMode::kSearch);
    EXPECT_TRUE(parsed);
    return fits(*Grammar::build({*parsed}), text);
  };
  EXPECT_TRUE(fits_search("b", "abc\n"));
  EXPECT_FALSE(fits_search("^b", "abc"));
  EXPECT_TRUE(fits_search("^a|c$", "aXX"));
  EXPECT_TRUE(fits_search("^a|c$", "XXc"));
  EXPECT_FALSE(fits_search("^a|c$", "XaX"));
  EXPECT_TRUE(fits_search("^(a|b)$", "b"));
  EXPECT_FALSE(fits_search("^(a|b)$", "bb"));
}

// Random patterns of everything there is.
std::string random_pattern(std::mt19937_64& random, int depth) {
  static const std::vector<std::string> kAtoms{"a",          "b",      "ab",     "好",  "😄",    "\\d",
                                               "\\w",        "\\s",    "\\D",    ".",   "[ab]", "[^ab]",
                                               "[a-c你-好]", "[^\\d]", "[\\w-]", "\\.", "\\n"};
  static const std::vector<std::string> kRepeats{"*", "+", "?", "{2}", "{0,2}", "{1,}", "{2,3}"};
  std::string pattern;
  const size_t n = 1 + random() % 3;
  for (size_t i = 0; i < n; ++i) {
    if (i > 0 && random() % 4 == 0) pattern += '|';
    const bool group = depth > 0 && random() % 3 == 0;
    pattern += group ? (random() % 2 == 0 ? "(" : "(?:") + random_pattern(random, depth - 1) + ")"
                     : kAtoms[random() % kAtoms.size()];
    if (random() % 3 == 0) pattern += kRepeats[random() % kRepeats.size()];
  }
  return pattern;
}

TEST(RegexTest, AgreesWithAnotherImplementation) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  static const std::vector<std::string> kPieces{"a", "b", "c",  "好", "你", "😄",
                                                "1", " ", "\n", "_",  "-",  "."};
  int n_texts = 0;
  for (int round = 0; round < 1000; ++round) {
    const std::string pattern = random_pattern(random, 2);
    const auto grammar = grammar_of_regex(pattern);
    ASSERT_TRUE(grammar) << pattern << ": " << grammar.error().text;
    const Pcre pcre(pattern);
    Automaton automaton(*grammar);
    for (int i = 0; i < 5; ++i) {
      if (const auto text = random_text(automaton, random, 300)) {
        ASSERT_TRUE(pcre.fits(*text)) << "/" << pattern << "/ '" << *text << "'";
        ++n_texts;
      }
      std::string other;
      for (size_t n = random() % 6; n > 0; --n) other += kPieces[random() % kPieces.size()];
      ASSERT_EQ(fits(automaton, other), pcre.fits(other)) << "/" << pattern << "/ '" << other << "'";
    }
  }
  EXPECT_GT(n_texts, 4000);
}

}  // namespace
}  // namespace tandem::engine
