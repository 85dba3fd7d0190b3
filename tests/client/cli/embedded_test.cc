// The private broker and worker, played by shell scripts.

#include "client/cli/embedded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "shared/base/file.h"
#include "tests/support/temp_dir.h"

namespace tandem::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class EmbeddedTest : public ::testing::Test {
 protected:
  EmbeddedTest() { options_.programs = folder_.path(); }

  // `exec` makes the script the process that is signalled.
  static constexpr const char* kGood = "echo \"$@\" >args.$$; echo ready >&3; exec sleep 1000";

  void script(const std::string& name, const std::string& body) {
    const fs::path path = folder_ / name;
    std::ofstream(path) << "#!/bin/sh\ncd " << folder_.path().string() << "\n" << body << "\n";
    fs::permissions(path, fs::perms::owner_all);
  }
  Result<std::unique_ptr<Embedded>> start() {
    return Embedded::start(options_, [&] { return stop_; });
  }
  std::string arguments_of(const std::string& needle) {
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      if (!entry.path().filename().string().starts_with("args.")) continue;
      const std::string content = read_file(entry.path(), 1 << 16).value_or("");
      if (content.find(needle) != std::string::npos) return content;
    }
    return "";
  }

  tandem::testing::TempDir folder_;
  EmbeddedOptions options_;
  bool stop_ = false;
};

TEST_F(EmbeddedTest, RunsWhileItIsHeldAndCleansUpAfterwards) {
  script("tandem-broker", kGood);
  script("tandem-worker", kGood);
  options_.model = folder_.path().string();
  options_.use_cache = false;
  fs::path run_folder;
  {
    auto embedded = start();
    ASSERT_TRUE(embedded) << embedded.error().text;
    run_folder = (*embedded)->folder();
    EXPECT_TRUE((*embedded)->alive());
    struct stat info {};
    ASSERT_EQ(::stat(run_folder.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u) << "nobody else talks to it";
    const std::string submit = "broker.submit=ipc://" + (run_folder / "submit").string();
    EXPECT_THAT(arguments_of("broker.submit"), AllOf(HasSubstr(submit), HasSubstr("--ready-fd 3")));
    EXPECT_THAT(arguments_of("--model"), AllOf(HasSubstr(options_.model), HasSubstr("cache.enabled=false")));
  }
  EXPECT_FALSE(fs::exists(run_folder));
}

TEST_F(EmbeddedTest, AChildThatCannotStartIsQuoted) {
  script("tandem-broker", kGood);
  script("tandem-worker",
         "echo 'line one' >&2; echo 'model.safetensors: expected 10 bytes, found 5' >&2; exit 7");
  const auto embedded = start();
  ASSERT_FALSE(embedded);
  EXPECT_EQ(embedded.error().code, ErrorCode::kInternal);
  EXPECT_THAT(embedded.error().text, AllOf(HasSubstr("tandem-worker ended with exit code 7"),
                                           HasSubstr("line one"), HasSubstr("expected 10 bytes, found 5")));
}

TEST_F(EmbeddedTest, AChildThatDiesLaterIsNoticed) {
  script("tandem-broker", kGood);
  script("tandem-worker", "echo ready >&3; echo 'out of memory' >&2; kill -9 $$");
  auto embedded = start();
  ASSERT_TRUE(embedded || embedded.error().code == ErrorCode::kInternal);
  if (!embedded) return;  // it was dead before start() returned: the case above
  Result<void> alive;
  for (int i = 0; i < 10'000 && alive; ++i) {
    alive = (*embedded)->alive();
    ::usleep(1000);  // for another process there is nothing to wait on but itself
  }
  ASSERT_FALSE(alive);
  EXPECT_THAT(alive.error().text, AllOf(HasSubstr("killed by signal 9"), HasSubstr("out of memory")));
}

TEST_F(EmbeddedTest, ProgramsThatAreMissingAreNamed) {
  script("tandem-broker", kGood);
  const auto embedded = start();
  ASSERT_FALSE(embedded);
  EXPECT_EQ(embedded.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(embedded.error().text, HasSubstr((folder_ / "tandem-worker").string()));
}

TEST_F(EmbeddedTest, AModelFolderThatIsMissingIsNamedBeforeAnythingStarts) {
  script("tandem-broker", "touch started; exec sleep 1000");
  script("tandem-worker", kGood);
  options_.model = (folder_ / "no-model").string();
  const auto embedded = start();
  ASSERT_FALSE(embedded);
  EXPECT_EQ(embedded.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(embedded.error().text, HasSubstr(options_.model));
  EXPECT_FALSE(fs::exists(folder_ / "started"));
}

TEST_F(EmbeddedTest, WaitingForReadinessCanBeInterrupted) {
  script("tandem-broker", "exec sleep 1000");
  script("tandem-worker", "exec sleep 1000");
  stop_ = true;
  const auto embedded = start();
  ASSERT_FALSE(embedded);
  EXPECT_EQ(embedded.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace tandem::cli
