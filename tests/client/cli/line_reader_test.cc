#include "client/cli/line_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shared/base/file.h"
#include "tests/support/temp_dir.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LineReaderTest : public ::testing::Test {
 protected:
  // "1:first 3:third", with "!" for a line that is too long.
  std::vector<std::string> read(const std::string& content, size_t line_bytes_max = 1 << 20) {
    const std::string path = (folder_ / "in").string();
    EXPECT_TRUE(write_file_atomically(path, content));
    auto reader = LineReader::open(path, line_bytes_max);
    EXPECT_TRUE(reader);
    const auto counted = reader->count_lines();
    EXPECT_TRUE(counted && *counted);
    std::vector<std::string> lines;
    for (;;) {
      const auto line = reader->next();
      EXPECT_TRUE(line);
      if (!line || !*line) break;
      lines.push_back(std::to_string((*line)->number) + ":" +
                      ((*line)->too_long ? "!" : std::string((*line)->text)));
    }
    EXPECT_EQ(**counted, lines.size()) << "counting ahead and reading agree";
    return lines;
  }

  tandem::testing::TempDir folder_;
};

TEST_F(LineReaderTest, BlankLinesAreCountedAndPassedOver) {
  EXPECT_THAT(read("first\n\n  \nfourth\n"), ElementsAre("1:first", "4:fourth"));
}

TEST_F(LineReaderTest, TheLastLineNeedsNoEnd) {
  EXPECT_THAT(read("a\nb"), ElementsAre("1:a", "2:b"));
  EXPECT_THAT(read(""), ElementsAre());
  EXPECT_THAT(read("\n"), ElementsAre());
}

TEST_F(LineReaderTest, AByteOrderMarkIsNoPartOfTheText) {
  EXPECT_THAT(read("\xEF\xBB\xBF{}\n\xEF\xBB\xBF"), ElementsAre("1:{}", "2:\xEF\xBB\xBF"));
}

TEST_F(LineReaderTest, ALineThatIsTooLongDoesNotTakeTheNextOneAlong) {
  EXPECT_THAT(read("12345678\nok\n123456789\nok\n", 8), ElementsAre("1:12345678", "2:ok", "3:!", "4:ok"));
  EXPECT_THAT(read(std::string(3u << 20, 'x') + "\nok", 1000), ElementsAre("1:!", "2:ok"));
  EXPECT_THAT(read("ok\n" + std::string(3u << 20, 'x'), 1000), ElementsAre("1:ok", "2:!"));
}

TEST_F(LineReaderTest, LinesAcrossReadsAreWhole) {
  std::string content;
  std::vector<std::string> expected;
  for (int i = 1; i <= 3000; ++i) {
    const std::string text(static_cast<size_t>(i % 700), 'a' + static_cast<char>(i % 26));
    content += text + "\n";
    if (!text.empty()) expected.push_back(std::to_string(i) + ":" + text);
  }
  EXPECT_EQ(read(content), expected);
}

TEST_F(LineReaderTest, WhatCannotBeReadIsNamed) {
  auto missing = LineReader::open((folder_ / "nowhere").string(), 100);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().text, HasSubstr("nowhere: cannot open: No such file"));
  auto is_folder = LineReader::open(folder_.path().string(), 100);
  ASSERT_FALSE(is_folder);
  EXPECT_THAT(is_folder.error().text, HasSubstr("found a folder"));
}

}  // namespace
}  // namespace tandem::cli
