// Files: read whole, written whole or not at all, mapped.

#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace tandem {

// kNotFound, kIo, or kTooLong when the file has more than `bytes_max`. The error names the path.
Result<std::string> read_file(const std::filesystem::path& path, size_t bytes_max);

// Writes beside `path`, syncs and renames, so that a reader sees the old or the new file, never half of one.
// kInvalid when there is something else than a file of that name: a device would be replaced, too.
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content);

// The disk has what was written to the file, or the names in the folder (after one was made or renamed there)
// when this returns. kNotFound or kIo, with the path.
Result<void> sync_to_disk(const std::filesystem::path& path);

// A read-only memory map of a whole file; all processes that map it share one copy in memory.
class MappedFile {
 public:
  // kNotFound or kIo, with the path. An empty file gives an empty span.
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, n_bytes_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  const std::byte* data_ = nullptr;
  size_t n_bytes_ = 0;
  std::filesystem::path path_;
};

}  // namespace tandem
