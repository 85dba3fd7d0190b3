#include "worker/cache/use_stamps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using tandem::testing::TempDir;

class UseStampsTest : public ::testing::Test {
 protected:
  UseStamps open() {
    auto opened = UseStamps::open(folder_ / "uses");
    EXPECT_TRUE(opened) << opened.error().text;
    return std::move(*opened);
  }
  TempDir folder_;
};

TEST_F(UseStampsTest, AUseIsNewerThanAllBefore) {
  UseStamps stamps = open();
  ASSERT_TRUE(stamps.grow(10));
  stamps.use(3);
  stamps.use(9);
  stamps.use(4);
  EXPECT_LT(stamps.last(3), stamps.last(9));
  EXPECT_LT(stamps.last(9), stamps.last(4));
  stamps.use(3);
  EXPECT_GT(stamps.last(3), stamps.last(4));
  EXPECT_EQ(stamps.last(5), 0u);
}

TEST_F(UseStampsTest, AreThoseOfAllProcessesAndStayWhenAllHaveGone) {
  {
    UseStamps one = open(), other = open();
    ASSERT_TRUE(one.grow(10));
    one.use(3);
    other.use(4);
    EXPECT_GT(one.last(4), one.last(3));
    EXPECT_EQ(one.last(4), other.last(4));
    const pid_t child = ::fork();
    if (child == 0) {
      one.use(5);
      ::_exit(0);
    }
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    EXPECT_GT(other.last(5), other.last(4));
  }
  UseStamps later = open();
  EXPECT_GT(later.last(5), later.last(4));
  EXPECT_GT(later.next(), later.last(5));
}

TEST_F(UseStampsTest, NobodyIsGivenTheSameStamp) {
  UseStamps one = open(), other = open();
  std::set<uint64_t> given;
  for (int i = 0; i < 100; ++i) {
    given.insert(one.next());
    given.insert(other.next());
  }
  EXPECT_EQ(given.size(), 200u);
  one.raise(10'000);
  EXPECT_GT(other.next(), 10'000u);
  one.raise(5);
  EXPECT_GT(one.next(), 10'000u);
}

TEST_F(UseStampsTest, APlaceThatIsNotThereIsPassedOver) {
  UseStamps stamps = open();
  stamps.use(0);
  EXPECT_EQ(stamps.last(0), 0u);
  ASSERT_TRUE(stamps.grow(1));
  stamps.use(UINT32_MAX);
  EXPECT_EQ(stamps.last(UINT32_MAX), 0u);
  ASSERT_TRUE(stamps.grow(100'000));
  stamps.use(99'999);
  EXPECT_GT(stamps.last(99'999), 0u);
}

TEST_F(UseStampsTest, SomethingElseUnderTheirNameIsReplacedAndWhoHadItGoesOn) {
  UseStamps old = open();
  ASSERT_TRUE(old.grow(10));
  std::ofstream(folder_ / "uses", std::ios::in | std::ios::binary) << "other";
  UseStamps anew = open();
  EXPECT_EQ(anew.last(3), 0u);
  ASSERT_TRUE(anew.grow(10));
  old.use(3);
  EXPECT_GT(old.last(3), 0u);
  EXPECT_EQ(anew.last(3), 0u);

  for (const size_t size : {0, 5, 64, 1'000}) {
    std::ofstream(folder_ / "uses", std::ios::binary) << std::string(size, 'x');
    EXPECT_TRUE(open().grow(10)) << size;
  }
}

TEST_F(UseStampsTest, AFileThatWasCutShortIsReplaced) {
  {
    UseStamps stamps = open();
    ASSERT_TRUE(stamps.grow(10'000));
    stamps.use(9'000);
  }
  std::filesystem::resize_file(folder_ / "uses", 4'096);
  UseStamps stamps = open();
  EXPECT_EQ(stamps.last(9'000), 0u);
  ASSERT_TRUE(stamps.grow(10'000));
  stamps.use(9'000);
  EXPECT_GT(stamps.last(9'000), 0u);
}

TEST_F(UseStampsTest, NameTheFileThatCannotBeMade) {
  const auto opened = UseStamps::open(folder_ / "nowhere" / "uses");
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().text, ::testing::HasSubstr("nowhere/uses: cannot open"));
}

}  // namespace
}  // namespace tandem
