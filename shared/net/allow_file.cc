#include "shared/net/allow_file.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "shared/base/file.h"

namespace tandem {
namespace {

constexpr size_t kAllowFileBytesMax = 16u << 20;  // a hundred thousand keys

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
  // The stamp is taken before reading: what is written meanwhile is seen by the next look.
  seen_ = *now;
  auto list = read();
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
  struct stat info {};
  if (::stat(path_.c_str(), &info) == 0 && (info.st_mode & S_IWOTH) != 0) {
    return fail(ErrorCode::kInvalid,
                path_.string() + ": expected a file that not everybody may write to, found one; chmod o-w " +
                    path_.string());
  }
  TANDEM_ASSIGN(const std::string text, read_file(path_, kAllowFileBytesMax));
  auto list = Allowlist::parse(text);
  if (!list) return fail_in(path_.string(), std::move(list).error());
  return list;
}

}  // namespace tandem
