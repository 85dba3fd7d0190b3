#include "shared/base/wake.h"

#include <fcntl.h>
#include <unistd.h>

#include "shared/base/assert.h"

namespace tandem {

// A pipe rather than eventfd: it is the same on every Unix.
Wake::Wake() {
  int fds[2];
  TANDEM_ASSERT(::pipe(fds) == 0, "a process may open two more file descriptors");
  read_fd_ = fds[0];
  write_fd_ = fds[1];
  for (const int fd : fds) {
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
}

Wake::~Wake() {
  ::close(read_fd_);
  ::close(write_fd_);
}

void Wake::set() noexcept {
  const char byte = 1;
  // A full pipe is set already.
  [[maybe_unused]] const auto written = ::write(write_fd_, &byte, 1);
}

void Wake::clear() noexcept {
  char bytes[256];
  while (::read(read_fd_, bytes, sizeof bytes) > 0) {
  }
}

}  // namespace tandem
