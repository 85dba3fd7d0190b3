// A service manager's end of sd_notify(3).

#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "shared/base/assert.h"
#include "tests/support/temp_dir.h"

namespace tandem::testing {

class NotifySocket {
 public:
  explicit NotifySocket(const std::filesystem::path& path) : path_(path.string()) {
    fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    TANDEM_ASSERT(path_.size() < sizeof address.sun_path, "a temporary path is short");
    std::memcpy(address.sun_path, path_.c_str(), path_.size());
    const timeval patience{30, 0};
    TANDEM_ASSERT(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                      ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0,
                  "tests can bind a socket in their folder");
  }
  ~NotifySocket() { ::close(fd_); }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  const std::string& path() const { return path_; }
  // The next message; "" when none comes.
  std::string next() {
    char buffer[4096];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
  }

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace tandem::testing
