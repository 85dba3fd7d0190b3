// tandem top on a terminal of its own: it draws, follows the size of the window, and leaves no trace.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/client/cli/tandem_fixture.h"

namespace tandem::testing {
namespace {

constexpr const char* kFrame = "\033[H";       // where each frame begins
constexpr const char* kLeave = "\033[?1049l";  // back to the screen that was there

class TopOnTerminal : public TandemWithBroker {
 protected:
  void SetUp() override {
    const std::string program = (bin_dir() / "tandem").string(), broker = folder_.path().string();
    const char* arguments[] = {"tandem", "top", "--interval", "0.1", "--broker", broker.c_str(), nullptr};
    winsize size{};
    size.ws_row = 24;
    size.ws_col = 90;
    pid_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
    ASSERT_GE(pid_, 0);
    if (pid_ == 0) {
      ::execv(program.c_str(), const_cast<char* const*>(arguments));
      ::_exit(127);
    }
  }
  void TearDown() override {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(terminal_);
  }

  // Reads what is drawn until `done` likes it; false at the end, or when nothing more comes.
  bool read_until(const std::function<bool()>& done) {
    while (!done()) {
      pollfd waiting{terminal_, POLLIN, 0};
      char buffer[4096];
      if (::poll(&waiting, 1, 30'000) <= 0) return false;
      const ssize_t n = ::read(terminal_, buffer, sizeof buffer);
      if (n <= 0) return false;
      screen_.append(buffer, static_cast<size_t>(n));
    }
    return true;
  }
  // The latest frame that is complete.
  std::string frame() const {
    const size_t end = screen_.rfind(kFrame);
    if (end == std::string::npos || end == 0) return "";
    const size_t begin = screen_.rfind(kFrame, end - 1);
    return begin == std::string::npos ? "" : screen_.substr(begin, end - begin);
  }
  void press(char key) { ASSERT_EQ(::write(terminal_, &key, 1), 1); }
  int exit_status() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  int terminal_ = -1;
  pid_t pid_ = -1;
  std::string screen_;
};

TEST_F(TopOnTerminal, DrawsUntilQAndLeavesTheScreenAsItWas) {
  ASSERT_TRUE(read_until([&] { return frame().find("accepted  0.0/s") != std::string::npos; })) << screen_;
  EXPECT_THAT(frame(), ::testing::AllOf(::testing::HasSubstr("null-1"), ::testing::HasSubstr("q ends")));
  press('q');
  EXPECT_FALSE(read_until([] { return false; }));
  EXPECT_EQ(exit_status(), 0);
  EXPECT_THAT(screen_, ::testing::EndsWith(kLeave));
}

TEST_F(TopOnTerminal, CtrlCLeavesItAsWell) {
  ASSERT_TRUE(read_until([&] { return !frame().empty(); })) << screen_;
  press('\x03');
  EXPECT_FALSE(read_until([] { return false; }));
  EXPECT_EQ(exit_status(), 0);
  EXPECT_THAT(screen_, ::testing::EndsWith(kLeave));
}

TEST_F(TopOnTerminal, FollowsTheSizeOfTheWindow) {
  ASSERT_TRUE(read_until([&] { return frame().find("journal") != std::string::npos; })) << screen_;
  winsize small{};
  small.ws_row = 5;
  small.ws_col = 60;
  ASSERT_EQ(::ioctl(terminal_, TIOCSWINSZ, &small), 0);
  EXPECT_TRUE(read_until([&] {
    return frame().find("journal") == std::string::npos && frame().find("q ends") != std::string::npos;
  })) << screen_;
}

}  // namespace
}  // namespace tandem::testing
