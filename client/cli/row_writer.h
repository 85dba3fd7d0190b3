// The output of a run: lines into OUT.partial, which becomes OUT when the run is complete. So whoever reads
// OUT sees all of it, or nothing.

#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "shared/base/clock.h"
#include "shared/base/file_lock.h"
#include "shared/base/result.h"

namespace tandem::cli {

class RowWriter {
 public:
  // "-" is standard output; a device or pipe is written to directly. kExists when `path` is there and
  // `overwrite` is not set, or when another run is writing it.
  static Result<RowWriter> open(const std::string& path, bool overwrite);
  RowWriter(RowWriter&& other) noexcept;
  RowWriter& operator=(RowWriter&&) = delete;
  ~RowWriter();

  // Appends the line and its end. kIo with the path, such as for a full disk.
  Result<void> write(std::string_view line);
  // What was written can be read by others. write() does it by itself every 256 KiB.
  Result<void> flush();
  // Syncs, and gives the file its name.
  Result<void> finish();

  // Where the rows are until finish(): "out.jsonl.partial"; "" when they went straight out.
  const std::string& partial_path() const { return partial_path_; }

 private:
  RowWriter(int fd, std::string path, std::string partial_path, std::optional<FileLock> lock)
      : fd_(fd), path_(std::move(path)), partial_path_(std::move(partial_path)), lock_(std::move(lock)) {}

  int fd_ = -1;
  std::string path_;
  std::string partial_path_;
  std::optional<FileLock> lock_;  // on OUT.partial.lock: two runs must not write the same file
  std::string buffer_;
};

}  // namespace tandem::cli
