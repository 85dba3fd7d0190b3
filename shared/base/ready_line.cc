#include "shared/base/ready_line.h"

#include <unistd.h>

#include <cerrno>

namespace tandem {

void say_ready(int fd, const std::string& facts) {
  const std::string line = "ready " + facts + "\n";
  for (size_t n_done = 0; n_done < line.size();) {
    const ssize_t n = ::write(fd, line.data() + n_done, line.size() - n_done);
    if (n < 0 && errno != EINTR) return;  // nobody listens
    if (n > 0) n_done += static_cast<size_t>(n);
  }
  if (fd != STDOUT_FILENO) ::close(fd);
}

}  // namespace tandem
