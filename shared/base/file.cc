#include "shared/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tandem {
namespace {

tl::unexpected<Error> fail_errno(const std::filesystem::path& path, const char* what) {
  const int error = errno;
  return fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              path.string() + ": cannot " + what + ": " + std::strerror(error));
}

struct Fd {
  int fd = -1;
  ~Fd() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, size_t bytes_max) {
  const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return fail_errno(path, "open");
  std::string content;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(file.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(path, "read");
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
    if (content.size() > bytes_max) {
      return fail(ErrorCode::kTooLong,
                  path.string() + ": expected at most " + std::to_string(bytes_max) + " bytes, found more");
    }
  }
}

Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  std::error_code none;
  const std::filesystem::file_status what = std::filesystem::status(path, none);
  if (std::filesystem::exists(what) && !std::filesystem::is_regular_file(what)) {
    return fail(ErrorCode::kInvalid, path.string() + ": expected a file, or nothing of that name");
  }
  const std::filesystem::path beside = path.string() + ".new." + std::to_string(::getpid());
  {
    const Fd file{::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
    if (file.fd < 0) return fail_errno(beside, "create");
    while (!content.empty()) {
      const ssize_t n = ::write(file.fd, content.data(), content.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        auto failure = fail_errno(beside, "write");
        ::unlink(beside.c_str());
        return failure;
      }
      content.remove_prefix(static_cast<size_t>(n));
    }
    if (::fsync(file.fd) != 0) return fail_errno(beside, "sync");
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return fail_errno(path, "rename to");
  return {};
}

Result<void> sync_to_disk(const std::filesystem::path& path) {
  const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return fail_errno(path, "open");
  if (::fsync(file.fd) != 0 && errno != EINVAL) return fail_errno(path, "sync");  // EINVAL: it has no need
  return {};
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return fail_errno(path, "open");
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return fail_errno(path, "stat");
  if (!S_ISREG(info.st_mode)) return fail(ErrorCode::kInvalid, path.string() + ": expected a file");

  MappedFile mapped;
  mapped.path_ = path;
  mapped.n_bytes_ = static_cast<size_t>(info.st_size);
  if (mapped.n_bytes_ > 0) {
    void* data = ::mmap(nullptr, mapped.n_bytes_, PROT_READ, MAP_SHARED, file.fd, 0);
    if (data == MAP_FAILED) {
      mapped.n_bytes_ = 0;
      return fail_errno(path, "map");
    }
    mapped.data_ = static_cast<const std::byte*>(data);
  }
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), n_bytes_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      n_bytes_(std::exchange(other.n_bytes_, 0)),
      path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(n_bytes_, other.n_bytes_);
  std::swap(path_, other.path_);
  return *this;
}

}  // namespace tandem
