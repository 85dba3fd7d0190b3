#include "shared/base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace tandem {
namespace {

// The process id that an exclusive holder wrote, or "".
std::string holder(int fd) {
  char text[32] = {};
  const ssize_t n = ::pread(fd, text, sizeof text - 1, 0);
  std::string pid(text, n > 0 ? static_cast<size_t>(n) : 0);
  while (!pid.empty() && pid.back() == '\n') pid.pop_back();
  return pid.find_first_not_of("0123456789") == std::string::npos ? pid : "";
}

// Whether `path` still names the file that `fd` has open.
bool is_current(int fd, const std::filesystem::path& path) {
  struct stat opened {
  }, named{};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

tl::unexpected<Error> fail_errno(const std::filesystem::path& path, const char* what) {
  const int error = errno;
  return fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              path.string() + ": cannot " + what + ": " + std::strerror(error));
}

}  // namespace

Result<FileLock> FileLock::acquire(const std::filesystem::path& path, Mode mode, AtEnd at_end) {
  for (;;) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return fail_errno(path, "open the lock file");
    FileLock lock(fd, path, AtEnd::kKeepFile);
    int locked = 0;
    do {
      locked = ::flock(fd, (mode == Mode::kExclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
    } while (locked != 0 && errno == EINTR);
    if (locked != 0 && errno == EWOULDBLOCK) {
      const std::string pid = holder(fd);
      return fail(ErrorCode::kExists,
                  path.string() + ": held by " + (pid.empty() ? "another process" : "the process " + pid));
    }
    if (locked != 0) return fail_errno(path, "lock");
    // The holder before may have removed the file between our open and our lock.
    if (!is_current(fd, path)) continue;

    lock.at_end_ = at_end;
    const std::string pid = mode == Mode::kExclusive ? std::to_string(::getpid()) + "\n" : "";
    if (::ftruncate(fd, 0) == 0) [[maybe_unused]]
      const auto written = ::pwrite(fd, pid.data(), pid.size(), 0);
    return lock;
  }
}

FileLock::FileLock(int fd, std::filesystem::path path, AtEnd at_end)
    : fd_(fd), path_(std::move(path)), at_end_(at_end) {}

FileLock::FileLock(FileLock&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), at_end_(other.at_end_) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(at_end_, other.at_end_);
  return *this;
}

FileLock::~FileLock() {
  if (fd_ < 0) return;
  if (at_end_ == AtEnd::kRemoveFile) ::unlink(path_.c_str());
  ::close(fd_);
}

}  // namespace tandem
