#include "shared/net/allow_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace tandem {
namespace {

constexpr size_t kAllowFileBytesMax = 16u << 20;  // a hundred thousand keys

struct Fd {
  int fd = -1;
  ~Fd() {
    if (fd >= 0) ::close(fd);
  }
};

tl::unexpected<Error> fail_to_read(const std::filesystem::path& path, int error) {
  return fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              path.string() + ": cannot read: " + std::strerror(error));
}

// All is asked of the file that is open, which is the one that is read. A FIFO or a device in its place would
// keep the door waiting.
Result<std::string> read_allow_file(const std::filesystem::path& path) {
  const Fd file{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)};
  struct stat info {};
  if (file.fd < 0 || ::fstat(file.fd, &info) != 0) return fail_to_read(path, errno);
  if (!S_ISREG(info.st_mode)) {
    return fail(ErrorCode::kInvalid, path.string() + ": expected a file, found a folder, FIFO or device");
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return fail(ErrorCode::kInvalid,
                path.string() + ": expected a file that not everybody may write to, found one; chmod o-w " +
                    path.string());
  }
  std::string text;
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t n = ::read(file.fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_to_read(path, errno);
    if (n == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(n));
    if (text.size() > kAllowFileBytesMax) {
      return fail(ErrorCode::kTooLong, path.string() + ": expected at most " +
                                           std::to_string(kAllowFileBytesMax) + " bytes, found more");
    }
  }
}

}  // namespace

Result<std::unique_ptr<AllowFile>> AllowFile::open(const std::filesystem::path& path) {
  std::unique_ptr<AllowFile> file(new AllowFile(path));
  TANDEM_ASSIGN(file->seen_, file->stamp());
  TANDEM_ASSIGN(Allowlist list, file->read());
  file->list_ = std::make_shared<const Allowlist>(std::move(list));
  return file;
}

std::shared_ptr<const Allowlist> AllowFile::current() const {
  const std::lock_guard lock(mutex_);
  return list_;
}

bool AllowFile::look() {
  const std::lock_guard lock(mutex_);
  const auto now = stamp();
  if (!now) {
    if (!is_missing_) log_.error("allow file, the list stays as it was: {}", now.error().text);
    is_missing_ = true;
    return false;
  }
  if (*now == seen_ && !is_missing_) return false;
  is_missing_ = false;
  auto list = read();
  if (!list && list.error().code == ErrorCode::kIo) {
    // Such as no file descriptor left: nothing was learnt, so the next look tries again.
    if (!is_unread_)
      log_.error("allow file, the list stays as it was until it can be read: {}", list.error().text);
    is_unread_ = true;
    return false;
  }
  // The stamp was taken before reading: what is written meanwhile is seen by the next look.
  is_unread_ = false;
  seen_ = *now;
  if (!list) {
    log_.error("allow file, the list stays as it was: {}", list.error().text);
    return false;
  }
  list_ = std::make_shared<const Allowlist>(std::move(*list));
  log_.info("allow file read keys={} file={}", list_->size(), path_.string());
  changed_.set();
  return true;
}

Result<AllowFile::Stamp> AllowFile::stamp() const {
  struct stat info {};
  if (::stat(path_.c_str(), &info) != 0) {
    return fail(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                path_.string() + ": cannot open: " + std::strerror(errno));
  }
  return Stamp(info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
               info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
}

Result<Allowlist> AllowFile::read() const {
  TANDEM_ASSIGN(const std::string text, read_allow_file(path_));
  auto list = Allowlist::parse(text);
  if (!list) return fail_in(path_.string(), std::move(list).error());
  return list;
}

}  // namespace tandem
