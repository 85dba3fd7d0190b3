#include "shared/base/standard_output.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

namespace tandem {
namespace {

// Asked of the pipe itself: errno is that of the last write, and an earlier one may have failed.
bool is_reader_gone() {
  pollfd out{STDOUT_FILENO, 0, 0};
  return ::poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace

Result<void> flush_standard_output() {
  errno = 0;
  const bool flushed = std::cout.flush().good();
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  const int error = errno;  // 0: what failed was an earlier write
  if ((flushed && written) || is_reader_gone()) return {};
  return fail(error == ENOSPC ? ErrorCode::kFull : ErrorCode::kIo,
              "standard output: cannot write " +
                  (error == 0 ? std::string("all of it") : std::string("to it: ") + std::strerror(error)));
}

}  // namespace tandem
