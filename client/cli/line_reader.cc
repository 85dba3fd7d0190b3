#include "client/cli/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace tandem::cli {
namespace {

constexpr size_t kReadBytes = 256 << 10;

bool blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos;
}

tl::unexpected<Error> fail_errno(const std::string& path, const char* what) {
  const int error = errno;
  return fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
              path + ": cannot " + what + ": " + std::strerror(error));
}

}  // namespace

Result<LineReader> LineReader::open(const std::string& path, size_t line_bytes_max) {
  if (path == "-") return LineReader(::dup(STDIN_FILENO), "standard input", line_bytes_max);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno(path, "open");
  LineReader reader(fd, path, line_bytes_max);
  struct stat info {};
  if (::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    return fail(ErrorCode::kInvalid, path + ": expected a file, found a folder");
  }
  return reader;
}

LineReader::LineReader(LineReader&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      line_bytes_max_(other.line_bytes_max_),
      buffer_(std::move(other.buffer_)),
      begin_(other.begin_),
      searched_(other.searched_),
      number_(other.number_),
      skipping_(other.skipping_),
      at_end_(other.at_end_) {}

LineReader::~LineReader() {
  if (fd_ >= 0) ::close(fd_);
}

Result<bool> LineReader::fill() {
  if (at_end_) return false;
  buffer_.erase(0, begin_);
  searched_ -= begin_;
  begin_ = 0;
  const size_t old_size = buffer_.size();
  buffer_.resize(old_size + kReadBytes);
  // poll() first, because read() is started again after a signal and poll() is not.
  pollfd waiting{fd_, POLLIN, 0};
  ssize_t n = -1;
  if (::poll(&waiting, 1, -1) >= 0) n = ::read(fd_, buffer_.data() + old_size, kReadBytes);
  const int error = errno;
  buffer_.resize(old_size + static_cast<size_t>(std::max<ssize_t>(n, 0)));
  if (n < 0 && error == EINTR) {
    interrupted_ = true;
    return true;
  }
  errno = error;
  if (n < 0) return fail_errno(path_, "read");
  at_end_ = n == 0;
  return !at_end_;
}

Result<std::optional<Line>> LineReader::next() {
  interrupted_ = false;
  for (;;) {
    const size_t end = buffer_.find('\n', searched_);
    if (end == std::string::npos) {
      searched_ = buffer_.size();
      if (buffer_.size() - begin_ > line_bytes_max_) {
        skipping_ = true;
        begin_ = buffer_.size();
      }
      TANDEM_ASSIGN(const bool more, fill());
      if (interrupted_) return std::nullopt;
      if (more) continue;
      if (begin_ == buffer_.size() && !skipping_) return std::nullopt;
    }
    const size_t stop = end == std::string::npos ? buffer_.size() : end;
    std::string_view text(buffer_.data() + begin_, stop - begin_);
    begin_ = searched_ = end == std::string::npos ? stop : stop + 1;
    ++number_;
    if (number_ == 1 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // byte order mark
    const bool too_long = std::exchange(skipping_, false) || text.size() > line_bytes_max_;
    if (too_long) return Line{number_, {}, true};
    if (!blank(text)) return Line{number_, text, false};
  }
}

bool LineReader::ready() {
  if (at_end_ || buffer_.find('\n', searched_) != std::string::npos) return true;
  pollfd waiting{fd_, POLLIN, 0};
  return ::poll(&waiting, 1, 0) > 0;
}

Result<std::optional<uint64_t>> LineReader::count_lines() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  std::vector<char> bytes(kReadBytes);
  uint64_t n_lines = 0;
  bool something = false;  // in the line so far
  off_t offset = ::lseek(fd_, 0, SEEK_CUR);
  for (;;) {
    const ssize_t n = ::pread(fd_, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(path_, "read");
    if (n == 0) break;
    offset += n;
    std::string_view rest(bytes.data(), static_cast<size_t>(n));
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      something |= !blank(rest.substr(0, end));
      if (end == std::string_view::npos) break;
      n_lines += something ? 1 : 0;
      something = false;
      rest.remove_prefix(end + 1);
    }
  }
  return n_lines + (something ? 1 : 0);
}

}  // namespace tandem::cli
