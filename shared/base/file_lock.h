// A lock between processes: a file that one of them holds, with its process id in it for people.

#pragma once

#include <filesystem>

#include "shared/base/result.h"

namespace tandem {

// Held until destroyed, or until the process ends, however it ends. Another holder in the same process
// counts, too.
class FileLock {
 public:
  enum class Mode { kExclusive, kShared };
  enum class AtEnd { kKeepFile, kRemoveFile };  // to remove it is for exclusive locks only

  // kExists when another holder has it, with its process id when it is exclusive; kNotFound when the folder
  // is missing, kIo else. Makes the file when it is not there. Does not wait.
  static Result<FileLock> acquire(const std::filesystem::path& path, Mode mode = Mode::kExclusive,
                                  AtEnd at_end = AtEnd::kKeepFile);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  FileLock(int fd, std::filesystem::path path, AtEnd at_end);

  int fd_ = -1;
  std::filesystem::path path_;
  AtEnd at_end_ = AtEnd::kKeepFile;
};

}  // namespace tandem
