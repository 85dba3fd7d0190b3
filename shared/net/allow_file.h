// The allow file of a running broker: looked at again, so that a key comes and goes without a restart.

#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <tuple>

#include "shared/base/log.h"
#include "shared/base/wake.h"
#include "shared/net/allowlist.h"

namespace tandem {

// Safe from any thread.
class AllowFile {
 public:
  // kNotFound, kIo, or kInvalid for a list with a mistake, for a file that everybody may write to, and for
  // what is no file.
  static Result<std::unique_ptr<AllowFile>> open(const std::filesystem::path& path);

  // The list in effect.
  std::shared_ptr<const Allowlist> current() const;

  // Reads the file again if it is another one, or was written to, since the last look; a stat() otherwise. A
  // file that has a mistake, or is gone, changes nothing: the list stays as it was, and the log says so,
  // once. One that could not be read, for want of file descriptors, is read by the next look. True when there
  // is a new list; then changed() is set, too.
  bool look();
  // For the thread that acts on a new list.
  Wake& changed() { return changed_; }

 private:
  // Which file, how long, when written: what differs after any edit.
  using Stamp = std::tuple<uint64_t, uint64_t, int64_t, int64_t, int64_t, int64_t, int64_t>;

  explicit AllowFile(std::filesystem::path path) : path_(std::move(path)) {}
  Result<Stamp> stamp() const;
  Result<Allowlist> read() const;

  const std::filesystem::path path_;
  Wake changed_;
  Log log_{"broker.keys"};
  mutable std::mutex mutex_;
  std::shared_ptr<const Allowlist> list_;  // under mutex_
  Stamp seen_{};                           // under mutex_
  bool is_missing_ = false;                // under mutex_
  bool is_unread_ = false;                 // under mutex_
};

}  // namespace tandem
