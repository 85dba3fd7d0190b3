#include "worker/tasks/text_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include "shared/base/utf8.h"
#include "tests/worker/tasks/support.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> texts_of(const std::string& text, const SplitLimits& limits) {
  std::vector<std::string> texts;
  for (const TextPiece& piece : split_text(text, limits))
    texts.push_back(text.substr(piece.overlap_begin, piece.end - piece.overlap_begin));
  return texts;
}

// Sentences of 20 to 80 characters, in paragraphs; no two alike.
std::vector<std::string> prose(size_t n_sentences, unsigned seed, bool chinese) {
  static const std::vector<std::string> kEnglish = {"river", "the", "town",  "rose", "bell", "a",
                                                    "rope",  "of",  "night", "said", "had",  "lamp"};
  static const std::vector<std::string> kChinese = {"河水", "涨",   "了", "小镇", "的",
                                                    "人们", "夜里", "说", "灯"};
  const auto& words = chinese ? kChinese : kEnglish;
  std::mt19937 random(seed);
  std::vector<std::string> sentences;
  for (size_t i = 0; i < n_sentences; ++i) {
    std::string sentence = chinese ? "第" + std::to_string(i) + "句" : "Number " + std::to_string(i);
    for (size_t n = 5 + random() % 10; n > 0; --n)
      sentence += (chinese ? "" : " ") + words[random() % words.size()];
    sentence += chinese ? "。" : ". ";
    if (random() % 12 == 0) sentence += "\n\n";
    sentences.push_back(sentence);
  }
  return sentences;
}
std::string joined(const std::vector<std::string>& sentences) {
  std::string text;
  for (const std::string& sentence : sentences) text += sentence;
  return text;
}

size_t n_new(const std::vector<std::string>& before, const std::vector<std::string>& after) {
  const std::set<std::string> known(before.begin(), before.end());
  return static_cast<size_t>(std::count_if(after.begin(), after.end(),
                                           [&](const std::string& piece) { return !known.contains(piece); }));
}

TEST(TextSplitter, LeavesAloneWhatFits) {
  EXPECT_THAT(split_text("", {.chars_max = 100}), IsEmpty());
  EXPECT_THAT(texts_of("One. Two.", {.chars_max = 9}), ElementsAre("One. Two."));
  EXPECT_EQ(texts_of("One. Two.", {.chars_max = 8}).size(), 2u);
}

TEST(TextSplitter, EndsPiecesBetweenSentences) {
  const std::string text = joined(prose(200, 1, false));
  for (const std::string& piece : texts_of(text, {.chars_max = 1000})) {
    EXPECT_EQ(piece.rfind("Number ", 0), 0u) << piece;
    EXPECT_LE(utf8_length(piece), 1000u);
  }
}

TEST(TextSplitter, CountsCharactersAndNotBytes) {
  const std::string text = joined(prose(200, 1, true));
  const auto pieces = texts_of(text, {.chars_max = 1000});
  size_t longest = 0;
  for (const std::string& piece : pieces) longest = std::max(longest, utf8_length(piece));
  EXPECT_LE(longest, 1000u);
  EXPECT_GT(longest, 600u) << "and makes use of them";
}

// Any text, any limits, with and without tokens.
TEST(TextSplitter, CoversTheTextWithinTheLimits) {
  const unsigned seed = 5;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto& tokenizer = testing::tiny_tokenizer();
  const CountTokens count = [&](std::string_view text) { return tokenizer.encode_plain(text).size(); };
  const std::vector<std::string> bits = {"word ",
                                         "Dr. ",
                                         "3.5",
                                         ". ",
                                         "。",
                                         "！",
                                         "\n",
                                         "\n\n",
                                         "…",
                                         "😄",
                                         "天气",
                                         "，",
                                         ", ",
                                         "不错。",
                                         "x",
                                         "é",
                                         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                         "我们今天去公园散步然后回家吃饭睡觉"};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (size_t n = random() % 400; n > 0; --n) text += bits[random() % bits.size()];
    SplitLimits limits{.chars_max = 100 + random() % 300};
    if (round % 2 == 0) limits.tokens_max = 64 + random() % 200;
    if (round % 3 == 0) limits.overlap_chars = random() % (limits.chars_max / 2);
    std::string all;
    for (const TextPiece& piece : split_text(text, limits, count)) {
      ASSERT_EQ(piece.begin, all.size());
      ASSERT_LT(piece.begin, piece.end);
      const std::string whole = text.substr(piece.overlap_begin, piece.end - piece.overlap_begin);
      ASSERT_TRUE(check_utf8(whole));
      ASSERT_LE(utf8_length(whole), limits.chars_max);
      ASSERT_LE(utf8_length(text.substr(piece.overlap_begin, piece.begin - piece.overlap_begin)),
                limits.overlap_chars);
      if (limits.tokens_max > 0) {
        ASSERT_LE(count(whole), limits.tokens_max);
      }
      all += text.substr(piece.begin, piece.end - piece.begin);
    }
    ASSERT_EQ(all, text);
  }
}

TEST(TextSplitter, BeginsAPieceWithTheLastSentencesBeforeIt) {
  const std::string text = joined(prose(200, 2, false));
  const auto pieces = split_text(text, {.chars_max = 1000, .overlap_chars = 200});
  ASSERT_GT(pieces.size(), 5u);
  EXPECT_EQ(pieces[0].overlap_begin, 0u);
  for (size_t i = 1; i < pieces.size(); ++i) {
    EXPECT_LT(pieces[i].overlap_begin, pieces[i].begin);
    EXPECT_EQ(text.compare(pieces[i].overlap_begin, 7, "Number "), 0);
  }
}

// What plain packing cannot: an edit at the beginning leaves everything behind it as it was.
TEST(TextSplitter, ChangesTheLeastWhenASentenceIsEdited) {
  for (const bool chinese : {false, true}) {
    const unsigned seed = chinese ? 12 : 11;
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::vector<std::string> sentences = prose(1500, seed, chinese);
    const SplitLimits limits{.chars_max = chinese ? 500u : 1150u};
    const auto before = texts_of(joined(sentences), limits);
    ASSERT_GE(before.size(), 90u);
    std::map<size_t, size_t> n_times;  // edits by how many pieces they changed
    for (size_t i = 0; i < sentences.size(); i += 10) {
      std::vector<std::string> edited = sentences;
      edited[i].insert(edited[i].find(std::to_string(i)), "7");
      ++n_times[n_new(before, texts_of(joined(edited), limits))];
    }
    std::string counts;
    for (const auto& [n, times] : n_times) counts += std::to_string(n) + ": " + std::to_string(times) + "  ";
    std::printf("%zu pieces; edits of one character by pieces changed: %s\n", before.size(), counts.c_str());
    EXPECT_EQ(n_times.begin()->first, 1u);
    EXPECT_GE(n_times[1], sentences.size() / 10 * 85 / 100);
    EXPECT_GE(n_times[1] + n_times[2], sentences.size() / 10 * 95 / 100);
    EXPECT_LE(n_times.rbegin()->first, 5u);
  }
}

TEST(TextSplitter, ChangesAtMostTwoPiecesWhenACharacterInTheMiddleIsEdited) {
  const std::vector<std::string> sentences = prose(1500, 21, false);
  const SplitLimits limits{.chars_max = 1150};
  const std::string text = joined(sentences);
  const auto before = texts_of(text, limits);
  ASSERT_GE(before.size(), 90u);
  std::string edited = text;
  edited[text.size() / 2] = edited[text.size() / 2] == 'q' ? 'z' : 'q';
  const size_t n = n_new(before, texts_of(edited, limits));
  EXPECT_GE(n, 1u);
  EXPECT_LE(n, 2u);
}

TEST(TextSplitter, FindsTheOldPiecesBehindAnInsertedOrRemovedParagraph) {
  std::vector<std::string> sentences = prose(1500, 31, false);
  const SplitLimits limits{.chars_max = 1150};
  const auto before = texts_of(joined(sentences), limits);
  std::vector<std::string> more = sentences;
  const std::vector<std::string> inserted = prose(10, 99, false);
  more.insert(more.begin() + 3, inserted.begin(), inserted.end());
  EXPECT_LE(n_new(before, texts_of(joined(more), limits)), 4u);
  sentences.erase(sentences.begin() + 3, sentences.begin() + 13);
  EXPECT_LE(n_new(before, texts_of(joined(sentences), limits)), 4u);
}

// No punctuation at all: speech that was written down by a machine, data in base 64.
TEST(TextSplitter, FindsTheOldPiecesInATextWithoutAnyEnds) {
  const unsigned seed = 8;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += static_cast<char>('a' + random() % 26);
  const auto before = texts_of(text, {.chars_max = 1000});
  EXPECT_GT(before.size(), 50u);
  text.insert(25'000, "hello");
  EXPECT_LE(n_new(before, texts_of(text, {.chars_max = 1000})), 4u);
}

// Four megabytes of the worst: one sentence again and again, and one letter.
TEST(TextSplitter, TakesHugeTextsOfOneKind) {
  std::string text;
  while (text.size() < (4u << 20)) text += "我同意。";
  EXPECT_GE(split_text(text, {.chars_max = 1'000'000}).size(), 2u);
  const auto pieces = split_text(text, {});
  EXPECT_LE(pieces.size(), 3 * utf8_length(text) / 10'000 + 1);
  EXPECT_GE(split_text(std::string(4u << 20, 'a'), {}).size(), 400u);
}

}  // namespace
}  // namespace tandem
