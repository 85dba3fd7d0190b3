#include "client/cli/row_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tandem::cli {
namespace {

constexpr size_t kFlushBytes = 256 << 10;

tl::unexpected<Error> fail_errno(const std::string& path, const char* what) {
  const int error = errno;
  return fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              path + ": cannot " + what + ": " + std::strerror(error));
}

}  // namespace

Result<RowWriter> RowWriter::open(const std::string& path, bool overwrite) {
  if (path == "-") return RowWriter(::dup(STDOUT_FILENO), "standard output", "", {});

  struct stat info {};
  const bool there = ::stat(path.c_str(), &info) == 0;
  if (there && S_ISDIR(info.st_mode))
    return fail(ErrorCode::kExists, path + ": expected a file, found a folder");
  if (there && !S_ISREG(info.st_mode)) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno(path, "open");
    return RowWriter(fd, path, "", {});
  }
  if (there && !overwrite) {
    return fail(ErrorCode::kExists, path + ": is there already; --force replaces it");
  }
  auto lock =
      FileLock::acquire(path + ".partial.lock", FileLock::Mode::kExclusive, FileLock::AtEnd::kRemoveFile);
  if (!lock && lock.error().code == ErrorCode::kExists) {
    return fail(ErrorCode::kExists, path + ": another run is writing it (" + lock.error().text + ")");
  }
  if (!lock) return fail(std::move(lock).error());
  const std::string partial = path + ".partial";
  const int fd = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return fail_errno(partial, "create");
  return RowWriter(fd, path, partial, std::move(*lock));
}

RowWriter::RowWriter(RowWriter&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      partial_path_(std::move(other.partial_path_)),
      lock_(std::move(other.lock_)),
      buffer_(std::move(other.buffer_)) {
  other.lock_.reset();
}

RowWriter::~RowWriter() {
  if (fd_ < 0) return;
  (void)flush();
  ::close(fd_);
}

Result<void> RowWriter::write(std::string_view line) {
  buffer_ += line;
  buffer_ += '\n';
  if (buffer_.size() >= kFlushBytes) return flush();
  return {};
}

Result<void> RowWriter::flush() {
  const std::string& path = partial_path_.empty() ? path_ : partial_path_;
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t n = ::write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      auto failure = fail_errno(path, "write");
      buffer_.erase(0, buffer_.size() - rest.size());
      return failure;
    }
    rest.remove_prefix(static_cast<size_t>(n));
  }
  buffer_.clear();
  return {};
}

Result<void> RowWriter::finish() {
  TANDEM_TRY(flush());
  if (partial_path_.empty()) return {};
  if (::fsync(fd_) != 0) return fail_errno(partial_path_, "sync");
  if (::rename(partial_path_.c_str(), path_.c_str()) != 0) return fail_errno(path_, "give its name to");
  partial_path_.clear();
  return {};
}

}  // namespace tandem::cli
