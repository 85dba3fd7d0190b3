#include "shared/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "shared/base/file_lock.h"
#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

TEST(File, IsReadWholeUpToALimit) {
  const testing::TempDir folder;
  std::ofstream(folder / "f") << "12345";
  EXPECT_EQ(read_file(folder / "f", 5), "12345");
  const auto over = read_file(folder / "f", 4);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, ErrorCode::kTooLong);
  EXPECT_THAT(over.error().text, HasSubstr("expected at most 4 bytes"));
  const auto missing = read_file(folder / "none", 5);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(read_file(folder.path(), 5)) << "a folder is no file";
}

TEST(File, IsWrittenWholeAndLeavesNothingBeside) {
  const testing::TempDir folder;
  ASSERT_TRUE(write_file_atomically(folder / "f", "one"));
  ASSERT_TRUE(write_file_atomically(folder / "f", "two"));
  EXPECT_EQ(read_file(folder / "f", 100), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  EXPECT_EQ(write_file_atomically(folder / "none/f", "x").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(write_file_atomically(folder.path(), "x").error().code, ErrorCode::kInvalid);
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(write_file_atomically(folder / "pipe", "x").error().code, ErrorCode::kInvalid);
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe")) << "it is left as it was";
}

TEST(File, IsMapped) {
  const testing::TempDir folder;
  std::ofstream(folder / "f") << "abc";
  std::ofstream(folder / "empty");
  auto mapped = MappedFile::open(folder / "f");
  ASSERT_TRUE(mapped);
  const MappedFile moved = std::move(*mapped);
  ASSERT_EQ(moved.bytes().size(), 3u);
  EXPECT_EQ(static_cast<char>(moved.bytes()[2]), 'c');
  EXPECT_EQ(MappedFile::open(folder / "empty")->bytes().size(), 0u);
  EXPECT_EQ(MappedFile::open(folder / "none").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(MappedFile::open(folder.path()).error().code, ErrorCode::kInvalid);
}

TEST(FileLock, HasOneHolder) {
  const testing::TempDir folder;
  {
    const auto first = FileLock::acquire(folder / "lock");
    ASSERT_TRUE(first);
    const auto second = FileLock::acquire(folder / "lock");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kExists);
    EXPECT_THAT(second.error().text, HasSubstr("held by the process " + std::to_string(::getpid())));
    EXPECT_FALSE(FileLock::acquire(folder / "lock", FileLock::Mode::kShared));
  }
  EXPECT_TRUE(FileLock::acquire(folder / "lock"));
}

TEST(FileLock, HasManySharers) {
  const testing::TempDir folder;
  const auto first = FileLock::acquire(folder / "lock", FileLock::Mode::kShared);
  const auto second = FileLock::acquire(folder / "lock", FileLock::Mode::kShared);
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(FileLock::acquire(folder / "lock"));
}

TEST(FileLock, RemovesItsFileWhenTold) {
  const testing::TempDir folder;
  {
    ASSERT_TRUE(FileLock::acquire(folder / "lock", FileLock::Mode::kExclusive, FileLock::AtEnd::kRemoveFile));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "lock"));
}

TEST(FileLock, IsFreeAfterItsHolderDied) {
  const testing::TempDir folder;
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = FileLock::acquire(folder / "lock");
    ::_exit(lock ? 0 : 1);  // no destructor runs
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  EXPECT_TRUE(FileLock::acquire(folder / "lock"));
}

TEST(FileLock, NeedsAFolder) {
  const testing::TempDir folder;
  EXPECT_EQ(FileLock::acquire(folder / "none/lock").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tandem
