#include "client/cli/row_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "shared/base/file.h"
#include "tests/support/temp_dir.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class RowWriterTest : public ::testing::Test {
 protected:
  std::string content(const std::string& name) {
    return read_file(folder_ / name, 1 << 20).value_or("(no " + name + ")");
  }
  tandem::testing::TempDir folder_;
  const std::string path_ = (folder_ / "out.jsonl").string();
};

TEST_F(RowWriterTest, TheFileHasItsNameOnlyWhenItIsComplete) {
  auto writer = RowWriter::open(path_, false);
  ASSERT_TRUE(writer) << writer.error().text;
  ASSERT_TRUE(writer->write("one"));
  ASSERT_TRUE(writer->flush());
  EXPECT_FALSE(fs::exists(path_));
  EXPECT_EQ(content("out.jsonl.partial"), "one\n");

  ASSERT_TRUE(writer->write("two"));
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(content("out.jsonl"), "one\ntwo\n");
  EXPECT_FALSE(fs::exists(path_ + ".partial"));
}

TEST_F(RowWriterTest, AnUnfinishedRunLeavesItsRowsAndTheOldFile) {
  ASSERT_TRUE(write_file_atomically(path_, "old\n"));
  {
    auto writer = RowWriter::open(path_, true);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->write("new"));
  }
  EXPECT_EQ(content("out.jsonl"), "old\n");
  EXPECT_EQ(content("out.jsonl.partial"), "new\n");
  EXPECT_FALSE(fs::exists(path_ + ".partial.lock"));
}

TEST_F(RowWriterTest, AFileThatIsThereIsReplacedOnlyWhenAsked) {
  ASSERT_TRUE(write_file_atomically(path_, "old\n"));
  auto writer = RowWriter::open(path_, false);
  ASSERT_FALSE(writer);
  EXPECT_THAT(writer.error().text, HasSubstr("--force"));
  EXPECT_EQ(content("out.jsonl"), "old\n");
}

TEST_F(RowWriterTest, TwoRunsDoNotWriteTheSameFile) {
  auto first = RowWriter::open(path_, false);
  ASSERT_TRUE(first);
  auto second = RowWriter::open(path_, false);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().text, HasSubstr("another run"));
  ASSERT_TRUE(first->write("mine"));
  ASSERT_TRUE(first->finish());
  EXPECT_EQ(content("out.jsonl"), "mine\n");
}

TEST_F(RowWriterTest, AFullDeviceIsAnErrorWithItsName) {
  auto writer = RowWriter::open("/dev/full", false);
  ASSERT_TRUE(writer) << writer.error().text;
  ASSERT_TRUE(writer->write("row"));
  const auto flushed = writer->flush();
  ASSERT_FALSE(flushed);
  EXPECT_THAT(flushed.error().text, HasSubstr("/dev/full: cannot write: No space left"));
}

TEST_F(RowWriterTest, AFolderThatIsMissingIsNamed) {
  auto writer = RowWriter::open((folder_ / "no/out").string(), false);
  ASSERT_FALSE(writer);
  EXPECT_THAT(writer.error().text, HasSubstr("no/out"));
}

}  // namespace
}  // namespace tandem::cli
