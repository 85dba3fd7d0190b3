#include "client/cli/program.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "shared/base/printable.h"

namespace tandem::cli {

int complain(std::string_view verb, const Error& error, int exit_code) {
  std::fprintf(stderr, "tandem %.*s: %s\n", static_cast<int>(verb.size()), verb.data(),
               shown(error.text, STDERR_FILENO).c_str());
  return exit_code;
}

int exit_code_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout:
      return kNoBroker;
    case ErrorCode::kCancelled:
      return kInterrupted;
    case ErrorCode::kInternal:
    case ErrorCode::kIo:
    case ErrorCode::kFull:
      return kBroken;
    default:
      return kUsage;
  }
}

std::string shown(std::string_view text, int fd) {
  return ::isatty(fd) != 0 ? printable_lines(text) : std::string(text);
}

bool colours_welcome(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  return ::isatty(fd) != 0 && (no_color == nullptr || *no_color == '\0');
}

std::string dim(std::string_view text, bool colours) {
  return colours ? "\033[2m" + std::string(text) + "\033[0m" : std::string(text);
}

std::string bold(std::string_view text, bool colours) {
  return colours ? "\033[1m" + std::string(text) + "\033[0m" : std::string(text);
}

std::string red(std::string_view text, bool colours) {
  return colours ? "\033[31m" + std::string(text) + "\033[0m" : std::string(text);
}

std::string green(std::string_view text, bool colours) {
  return colours ? "\033[32m" + std::string(text) + "\033[0m" : std::string(text);
}

}  // namespace tandem::cli
