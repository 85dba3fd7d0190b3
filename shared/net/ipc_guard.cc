#include "shared/net/ipc_guard.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace tandem {
namespace {

bool somebody_listens(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const bool busy = !connected && errno == EAGAIN;  // listens, with a full backlog
  ::close(fd);
  return connected || busy;
}

}  // namespace

Result<FileLock> guard_ipc_path(const std::string& path) {
  const std::string taken = "endpoint 'ipc://" + path + "': expected a free path, found it in use";
  auto lock = FileLock::acquire(path + ".lock", FileLock::Mode::kExclusive, FileLock::AtEnd::kRemoveFile);
  if (!lock && lock.error().code == ErrorCode::kExists) {
    return fail(ErrorCode::kExists, taken + " (" + lock.error().text + ")");
  }
  if (lock && somebody_listens(path)) return fail(ErrorCode::kExists, taken + " by another program");
  return lock;
}

}  // namespace tandem
