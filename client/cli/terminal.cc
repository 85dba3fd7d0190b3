#include "client/cli/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

namespace tandem::cli {
namespace {

constexpr const char* kEnter = "\033[?1049h\033[?25l";  // alternate screen, hidden cursor
constexpr const char* kLeave = "\033[?25h\033[?1049l";

}  // namespace

Screen::Screen() {
  ::tcgetattr(STDIN_FILENO, &before_);
  termios keys = before_;
  keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  keys.c_cc[VSUSP] = _POSIX_VDISABLE;  // a stopped program would leave the terminal like this
  ::tcsetattr(STDIN_FILENO, TCSANOW, &keys);
  std::fputs(kEnter, stdout);
  std::fflush(stdout);
}

Screen::~Screen() {
  std::fputs(kLeave, stdout);
  std::fflush(stdout);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

bool Screen::possible() {
  return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;
}

ScreenSize Screen::size() const {
  winsize found{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &found) != 0 || found.ws_col == 0 || found.ws_row == 0) return {};
  return {found.ws_col, found.ws_row};
}

void Screen::draw(const std::string& frame) {
  std::string out = "\033[H";
  const size_t end = frame.ends_with('\n') ? frame.size() - 1 : frame.size();  // a last one would scroll
  for (const char c : frame.substr(0, end)) {
    if (c == '\n') out += "\033[K";  // the rest of the line is of an earlier frame
    out += c;
  }
  out += "\033[K\033[J";
  std::fputs(out.c_str(), stdout);
  std::fflush(stdout);
}

char Screen::key(Duration at_most) {
  pollfd keys{STDIN_FILENO, POLLIN, 0};
  const auto ms = std::chrono::ceil<milliseconds>(at_most).count();
  if (::poll(&keys, 1, static_cast<int>(ms)) <= 0) return 0;
  char key = 0;
  return ::read(STDIN_FILENO, &key, 1) == 1 ? key : 'q';  // the terminal is gone
}

}  // namespace tandem::cli
