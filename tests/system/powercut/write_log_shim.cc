// LD_PRELOADed into a program: logs every write to the files below $TANDEM_WRITE_LOG_FOLDER into the file
// $TANDEM_WRITE_LOG (write_log.h), and then does it. A write is logged before it is done and a sync after, so
// that the log never claims that something is on the disk which is not. Lock files are left out.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>

#include "tests/system/powercut/write_log.h"

namespace {

using tandem::testing::RecordHead;
using tandem::testing::WriteKind;

constexpr int kFdsMax = 4096;

struct File {
  bool followed = false;
  bool synchronous = false;  // O_DSYNC: a write is on the disk when it returns
  std::string name;
};

std::mutex mutex;
File files[kFdsMax];

template <typename F>
F* real(F*, const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}
#define REAL(function) (real(&::function, #function))

std::string_view folder() {
  const char* const given = std::getenv("TANDEM_WRITE_LOG_FOLDER");
  return given == nullptr ? std::string_view() : given;
}

int log_fd() {
  static const int fd = [] {
    const char* const path = std::getenv("TANDEM_WRITE_LOG");
    return path == nullptr ? -1 : REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }();
  return fd;
}

void log(WriteKind kind, const std::string& name, uint64_t offset, const iovec* parts, int n_parts) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  RecordHead head;
  head.kind = kind;
  head.time_ns = now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
  head.offset = offset;
  head.name_bytes = static_cast<uint32_t>(name.size());
  std::string record(reinterpret_cast<const char*>(&head), sizeof(head));
  record += name;
  for (int i = 0; i < n_parts; ++i)
    record.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  head.n_bytes = static_cast<uint32_t>(record.size() - sizeof(head) - name.size());
  std::memcpy(record.data(), &head, sizeof(head));
  if (REAL(write)(log_fd(), record.data(), record.size()) != static_cast<ssize_t>(record.size()))
    std::abort();
}

void log(WriteKind kind, const std::string& name, uint64_t offset = 0) {
  log(kind, name, offset, nullptr, 0);
}

File* followed(int fd) {
  return fd >= 0 && fd < kFdsMax && files[fd].followed ? &files[fd] : nullptr;
}

// The path within the folder; empty when it is elsewhere.
std::string_view inside(std::string_view path) {
  const std::string_view root = folder();
  if (root.empty() || !path.starts_with(root) || path.size() <= root.size() + 1 || path[root.size()] != '/')
    return {};
  return path.substr(root.size() + 1);
}

void opened(int fd, const char* path, int flags, bool was_there) {
  if (fd < 0 || fd >= kFdsMax || log_fd() < 0 || folder().empty()) return;
  const std::string_view name = inside(path);
  if (name.empty()) return;
  if (name.ends_with("lock") || name.ends_with("lock.mdb") || (flags & O_DIRECTORY) != 0) return;
  const std::lock_guard lock(mutex);
  files[fd] = {true, (flags & (O_DSYNC | O_SYNC)) != 0, std::string(name)};
  if (!was_there) log(WriteKind::kCreated, files[fd].name);
}

// The write itself is `act`.
template <typename Act>
ssize_t written(int fd, uint64_t offset, const iovec* parts, int n_parts, Act act) {
  const std::lock_guard lock(mutex);
  File* const file = followed(fd);
  if (file == nullptr) return act();
  log(WriteKind::kWrite, file->name, offset, parts, n_parts);
  const ssize_t n_bytes = act();
  if (n_bytes >= 0 && file->synchronous) log(WriteKind::kDurable, file->name, offset);
  return n_bytes;
}

int synced(int fd, int outcome) {
  if (outcome != 0 || log_fd() < 0) return outcome;
  const std::lock_guard lock(mutex);
  struct stat info {};
  if (const File* file = followed(fd)) {
    log(WriteKind::kSync, file->name);
  } else if (::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    struct stat watched {};
    if (::stat(std::string(folder()).c_str(), &watched) == 0 && watched.st_ino == info.st_ino) {
      log(WriteKind::kFolderSync, "");
    }
  }
  return outcome;
}

int open_any(int (*function)(const char*, int, ...), const char* path, int flags, mode_t mode) {
  struct stat info {};
  const bool was_there = (flags & O_CREAT) == 0 || ::stat(path, &info) == 0;
  const int fd = function(path, flags, mode);
  opened(fd, path, flags, was_there);
  return fd;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_any(REAL(open), path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_any(REAL(open64), path, flags, mode);
}

int close(int fd) {
  if (fd >= 0 && fd < kFdsMax) {
    const std::lock_guard lock(mutex);
    files[fd].followed = false;
  }
  return REAL(close)(fd);
}

ssize_t pwrite(int fd, const void* bytes, size_t n_bytes, off_t offset) {
  const iovec part{const_cast<void*>(bytes), n_bytes};
  return written(fd, static_cast<uint64_t>(offset), &part, 1,
                 [&] { return REAL(pwrite)(fd, bytes, n_bytes, offset); });
}

ssize_t pwrite64(int fd, const void* bytes, size_t n_bytes, off64_t offset) {
  return pwrite(fd, bytes, n_bytes, offset);
}

ssize_t write(int fd, const void* bytes, size_t n_bytes) {
  if (followed(fd) == nullptr) return REAL(write)(fd, bytes, n_bytes);
  const iovec part{const_cast<void*>(bytes), n_bytes};
  return written(fd, static_cast<uint64_t>(::lseek(fd, 0, SEEK_CUR)), &part, 1,
                 [&] { return REAL(write)(fd, bytes, n_bytes); });
}

ssize_t writev(int fd, const iovec* parts, int n_parts) {
  if (followed(fd) == nullptr) return REAL(writev)(fd, parts, n_parts);
  return written(fd, static_cast<uint64_t>(::lseek(fd, 0, SEEK_CUR)), parts, n_parts,
                 [&] { return REAL(writev)(fd, parts, n_parts); });
}

ssize_t pwritev(int fd, const iovec* parts, int n_parts, off_t offset) {
  return written(fd, static_cast<uint64_t>(offset), parts, n_parts,
                 [&] { return REAL(pwritev)(fd, parts, n_parts, offset); });
}

int ftruncate(int fd, off_t size) {
  {
    const std::lock_guard lock(mutex);
    if (const File* file = followed(fd)) log(WriteKind::kTruncate, file->name, static_cast<uint64_t>(size));
  }
  return REAL(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size) {
  return ftruncate(fd, size);
}

int rename(const char* from, const char* to) {
  const std::string_view old_name = inside(from), new_name = inside(to);
  const int outcome = REAL(rename)(from, to);
  if (outcome == 0 && !old_name.empty() && !new_name.empty() && log_fd() >= 0) {
    const std::lock_guard lock(mutex);
    const iovec part{const_cast<char*>(old_name.data()), old_name.size()};
    log(WriteKind::kRenamed, std::string(new_name), 0, &part, 1);
  }
  return outcome;
}

int fdatasync(int fd) {
  return synced(fd, REAL(fdatasync)(fd));
}
int fsync(int fd) {
  return synced(fd, REAL(fsync)(fd));
}

}  // extern "C"
