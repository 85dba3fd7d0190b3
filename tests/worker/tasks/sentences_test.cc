#include "worker/tasks/sentences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "shared/base/utf8.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> cut_at(std::string_view text, const std::vector<TextUnit>& units) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (const TextUnit& unit : units) {
    parts.emplace_back(text.substr(begin, unit.end - begin));
    begin = unit.end;
  }
  return parts;
}
std::vector<std::string> parts(std::string_view text) {
  return cut_at(text, sentences(text));
}
std::vector<std::string> soft(std::string_view text, size_t chars_max) {
  return cut_at(text, soft_parts(text, TextEnd::kSentence, chars_max, text.size()));
}

TEST(Sentences, EndBehindTheirMarks) {
  EXPECT_THAT(parts("It rains. Why? Go!  Now"), ElementsAre("It rains. ", "Why? ", "Go!  ", "Now"));
  EXPECT_THAT(parts("今天下雨。为什么？走！好"), ElementsAre("今天下雨。", "为什么？", "走！", "好"));
  EXPECT_THAT(parts("真的吗？！好……吧。OK.然后走"),
              ElementsAre("真的吗？！", "好……", "吧。", "OK.", "然后走"));
  EXPECT_THAT(parts("Wait... What?! Yes"), ElementsAre("Wait... ", "What?! ", "Yes"));
  EXPECT_THAT(parts(""), ElementsAre());
}

TEST(Sentences, TakeWhatClosesBehindTheMarkWithThem) {
  EXPECT_THAT(parts("“走吧。”他说。"), ElementsAre("“走吧。”", "他说。"));
  EXPECT_THAT(parts("(It rains.) \"Go!\" He went."), ElementsAre("(It rains.) ", "\"Go!\" ", "He went."));
}

TEST(Sentences, GoOnBehindFullStopsThatEndNothing) {
  for (const char* one : {"It costs 3.14 euros.", "Dr. Wu and Mrs. Li met J. Smith.", "See e.g. this one.",
                          "See fig. 3 and No. 5 of vol. 2.", "Visit www.example.com today.",
                          "1. The first of a list.", "What a.b?c=d means.", "It was approx. Two of us."}) {
    EXPECT_THAT(parts(one), ElementsAre(one));
  }
  EXPECT_THAT(parts("He said no. Then he left."), ElementsAre("He said no. ", "Then he left."));
  EXPECT_THAT(parts("It was I. Then it was 5. Nobody else."),
              ElementsAre("It was I. ", "Then it was 5. ", "Nobody else."));
}

TEST(Sentences, EndWithTheirLine) {
  EXPECT_THAT(parts("A title\nDr.\nWu\n\n\nNext"), ElementsAre("A title\n", "Dr.\n", "Wu\n\n\n", "Next"));
  const auto units = sentences("One. Two.\r\n\r\nThree");
  ASSERT_EQ(units.size(), 3u);
  EXPECT_EQ(units[0].kind, TextEnd::kSentence);
  EXPECT_EQ(units[1].kind, TextEnd::kParagraph);
  EXPECT_EQ(units[2].kind, TextEnd::kInside) << "the text only stops there";
}

TEST(Sentences, ThatAreTooLongEndSofterAndSofter) {
  EXPECT_THAT(soft("one two, three four; five", 12), ElementsAre("one two, ", "three four; ", "five"));
  EXPECT_THAT(soft("春眠不觉晓，处处闻啼鸟，夜来", 6), ElementsAre("春眠不觉晓，", "处处闻啼鸟，", "夜来"));
  EXPECT_THAT(soft("1,000 and 2:30", 9), ElementsAre("1,000 ", "and ", "2:30"))
      << "no clause ends in a number";
  for (const std::string& part : soft("夜来风雨声花落知多少春眠不觉晓处处闻啼鸟", 3)) {
    EXPECT_LE(utf8_length(part), 3u);
    EXPECT_TRUE(check_utf8(part));
  }
}

// Any text: its parts joined are the text, every part is whole characters.
TEST(Sentences, AreTheWholeText) {
  const unsigned seed = 20240901;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::vector<std::string> bits = {"word ", "Dr. ", "3.5", ". ", "。", "！", "\n",
                                         "\n\n",  "…",    "😄",   "\"", ")",  "天", "，",
                                         ", ",    "?",    " ",   "é",  "A",  ".",  "\u3000"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t n = random() % 40; n > 0; --n) text += bits[random() % bits.size()];
    std::string joined;
    for (const std::string& part : parts(text)) {
      EXPECT_FALSE(part.empty());
      ASSERT_TRUE(check_utf8(part)) << text;
      joined += part;
      std::string again;
      for (const std::string& inner : soft(part, 1 + random() % 9)) {
        EXPECT_FALSE(inner.empty());
        ASSERT_TRUE(check_utf8(inner)) << text;
        again += inner;
      }
      ASSERT_EQ(again, part);
    }
    ASSERT_EQ(joined, text);
  }
}

TEST(Sentences, LeaveNoHalfOneAtACutIfThatIsCheap) {
  EXPECT_EQ(whole_sentences_from_start("One two three. Four five six. Sev"),
            "One two three. Four five six. ");
  EXPECT_EQ(whole_sentences_from_start("One two three. Four five six."), "One two three. Four five six.");
  EXPECT_EQ(whole_sentences_from_start("One. Two three four five"), "One. Two three four five") << "too dear";
  EXPECT_EQ(whole_sentences_to_end("ree. Four five six. Seven."), "Four five six. Seven.");
  EXPECT_EQ(whole_sentences_to_end("one two three four. Five."), "one two three four. Five.") << "too dear";
}

}  // namespace
}  // namespace tandem
