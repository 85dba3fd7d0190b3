#include "shared/base/shipped_files.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

class ShippedFilesTest : public ::testing::Test {
 protected:
  ~ShippedFilesTest() override { ::unsetenv("TANDEM_HOME"); }
};

TEST_F(ShippedFilesTest, LooksFirstWhereTheUserSays) {
  const TempDir folder;
  std::filesystem::create_directories(folder / "tasks");
  ::setenv("TANDEM_HOME", folder.path().c_str(), 1);
  const auto found = shipped_file("tasks");
  ASSERT_TRUE(found) << found.error().text;
  EXPECT_EQ(*found, folder / "tasks");
}

TEST_F(ShippedFilesTest, SaysWhereItLooked) {
  const TempDir folder;
  ::setenv("TANDEM_HOME", folder.path().c_str(), 1);
  const auto found = shipped_file("no-such-thing");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(found.error().text, HasSubstr("no-such-thing"));
  EXPECT_THAT(found.error().text, HasSubstr(folder.path().string()));
  EXPECT_THAT(found.error().text, HasSubstr("share/tandem"));
}

}  // namespace
}  // namespace tandem
