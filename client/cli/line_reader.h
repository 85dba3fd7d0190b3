// Lines of a file or pipe, one at a time, in bounded memory.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace tandem::cli {

struct Line {
  size_t number = 0;      // from 1, as editors count
  std::string_view text;  // without its end; valid until the next call
  bool too_long = false;  // longer than the limit: `text` is empty, the rest of the line was passed over
};

class LineReader {
 public:
  // "-" is standard input. kNotFound or kIo name the path and the reason.
  static Result<LineReader> open(const std::string& path, size_t line_bytes_max);
  LineReader(LineReader&& other) noexcept;
  LineReader& operator=(LineReader&&) = delete;
  ~LineReader();

  // The next line that is not blank; nothing at the end. kIo when reading fails. Waits for a pipe that has
  // nothing yet, until a signal arrives: then `interrupted()` is true, and the same call may be made again.
  Result<std::optional<Line>> next();
  bool interrupted() const { return interrupted_; }
  // Whether next() would not wait.
  bool ready();

  // Lines that next() will give, counted ahead for a regular file; nothing for pipes and terminals.
  Result<std::optional<uint64_t>> count_lines() const;

 private:
  LineReader(int fd, std::string path, size_t line_bytes_max)
      : fd_(fd), path_(std::move(path)), line_bytes_max_(line_bytes_max) {}
  Result<bool> fill();  // false at the end

  int fd_ = -1;
  std::string path_;
  size_t line_bytes_max_;
  std::string buffer_;
  size_t begin_ = 0;     // of what was not given out yet
  size_t searched_ = 0;  // up to here there is no line end
  size_t number_ = 0;
  bool skipping_ = false;  // inside a line that is too long
  bool at_end_ = false;
  bool interrupted_ = false;
};

}  // namespace tandem::cli
