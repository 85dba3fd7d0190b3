#include "client/cli/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <sstream>

#include "client/cli/program.h"
#include "client/cli/shown_row.h"
#include "client/cli/width.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

TEST(Width, ChineseAndEmojiTakeTwoColumnsAndCombiningMarksNone) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("天气"), 4u);
  EXPECT_EQ(display_width("，。！"), 6u);
  EXPECT_EQ(display_width("😄 正面"), 7u);
  EXPECT_EQ(display_width("❓👍🙏"), 6u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(display_width("é…—"), 3u);
  EXPECT_EQ(display_width("한국어 かな"), 11u);
  EXPECT_EQ(display_width(""), 0u);
}

TEST(Width, CuttingNeverSplitsACharacterAndNeverExceedsTheWidth) {
  const std::string text = "天气不错 fine 😄";
  for (size_t width = 0; width <= 20; ++width) {
    const std::string cut = cut_to_width(text, width);
    EXPECT_LE(display_width(cut), width);
    EXPECT_EQ(cut == text, width >= display_width(text));
    EXPECT_EQ(display_width(fit_to_width(text, width)), width);
  }
  EXPECT_EQ(cut_to_width("天气不错", 5), "天气…");
  EXPECT_EQ(cut_to_width("天气不错", 6), "天气…") << "half a character does not fit";
}

TEST(Width, ControlCharactersCannotReachTheTerminal) {
  EXPECT_EQ(printable("a\nb\t\x1b[31mred\x7f"), "a b  [31mred ");
  EXPECT_EQ(printable("bad \xFF byte"), "bad \xEF\xBF\xBD byte");
  EXPECT_EQ(printable("\u202Eabc"), " abc") << "no turning the line around";
}

TEST(Width, TextsOfSeveralLinesKeepThem) {
  EXPECT_EQ(printable_lines("a\n\tb\r\x1b]0;title\x07"), "a\n\tb  ]0;title ");
  EXPECT_EQ(printable_lines("\u009b2J\u2066天气 é"), " 2J 天气 é");
}

// What a model answers goes to whoever asked, byte for byte, unless that is a terminal.
TEST(Shown, TextsAreMadeHarmlessForTerminalsAlone) {
  const std::string text = "one\n\x1b[2Jtwo";
  int terminal = -1, keyboard = -1, pipe[2];
  ASSERT_EQ(::openpty(&keyboard, &terminal, nullptr, nullptr, nullptr), 0);
  ASSERT_EQ(::pipe(pipe), 0);
  EXPECT_EQ(shown(text, terminal), "one\n [2Jtwo");
  EXPECT_EQ(shown(text, pipe[1]), text);
  for (const int fd : {terminal, keyboard, pipe[0], pipe[1]}) ::close(fd);
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

TEST(Table, ColumnsAreAlignedWhateverTheScript) {
  const std::string table = render_table({{"text"}, {"n", 0, true}, {"reply"}},
                                         {{"天气不错", "7", "好"}, {"ok", "120", "fine"}}, 80);
  EXPECT_EQ(table,
            "text        n  reply\n"
            "────────  ───  ─────\n"
            "天气不错    7  好\n"
            "ok        120  fine\n");
}

TEST(Table, TheWidestColumnGivesWayFirst) {
  const std::string table = render_table({{"text", 10}, {"label"}, {"reply", 5}},
                                         {{std::string(100, 'a'), "Positive", std::string(50, 'b')}}, 40);
  for (const std::string& line : lines(table)) EXPECT_LE(display_width(line), 40u) << line;
  EXPECT_THAT(table, HasSubstr("Positive"));
  EXPECT_THAT(table, HasSubstr("a…"));
  EXPECT_THAT(table, HasSubstr("b…"));
}

TEST(Table, ColumnsDoNotShrinkBelowTheirMinimum) {
  const std::string table =
      render_table({{"text", 10}, {"reply", 10}}, {{std::string(30, 'a'), std::string(30, 'b')}}, 5);
  EXPECT_THAT(table, HasSubstr("aaaaaaaaa…  bbbbbbbbb…"));
}

TEST(ShownRow, ARowOfARunIsReadBack) {
  const auto row = read_shown_row(
      R"({"id":1,"text":"好","results":{"sentiment-zh":{"label":"positive","display":"😄 正面","probability":0.987,
          "source":"exact","usage":{"prompt_tokens":40,"cached_tokens":40},"time_ms":{"total":0.4}},
          "reply":{"text":"谢谢","source":"model","usage":{"prompt_tokens":30,"cached_tokens":12},
          "time_ms":{"total":812.3}}}})");
  ASSERT_TRUE(row) << row.error().text;
  EXPECT_EQ(row->text, "好");
  EXPECT_EQ(row->label, "😄 正面");
  EXPECT_EQ(row->probability, "0.99");
  EXPECT_EQ(row->reply, "谢谢");
  EXPECT_EQ(row->source, "exact/model");
  EXPECT_EQ(row->time, "812 ms");
  EXPECT_FALSE(row->cached);
  EXPECT_EQ(row->prompt_tokens, 30u) << "an answer from the cache has no prompt";
  EXPECT_EQ(row->cached_tokens, 12u);
}

TEST(ShownRow, FailedRowsSayWhy) {
  auto row = read_shown_row(R"({"line":4,"error":{"code":"invalid","message":"broken","line":4}})");
  ASSERT_TRUE(row);
  EXPECT_EQ(row->text, "(line 4)");
  EXPECT_EQ(row->reply, "error: broken");
  EXPECT_TRUE(row->failed);
  row = read_shown_row(
      R"({"text":"x","results":{"a":{"error":{"message":"no"}},"b":{"text":"yes","source":"exact"}}})");
  ASSERT_TRUE(row);
  EXPECT_TRUE(row->failed);
  EXPECT_EQ(row->reply, "error: no / yes");
}

TEST(ShownRow, OtherFilesAreRefused) {
  for (const char* line : {"", "{", "[]", "7", R"({"text": "x"})", R"({"results": 7})"}) {
    EXPECT_FALSE(read_shown_row(line)) << line;
  }
}

}  // namespace
}  // namespace tandem::cli
