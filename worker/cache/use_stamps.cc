#include "worker/cache/use_stamps.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "shared/base/error.h"

namespace tandem {
namespace {

constexpr std::string_view kFormat("tandem uses 1\0\0\0", 16);
constexpr size_t kHeaderBytes = 64;
// Address space, not memory. What has no place here is used without being noticed.
constexpr uint64_t kPlacesMax = 128u << 20;
constexpr size_t kMapBytes = kHeaderBytes + kPlacesMax * sizeof(uint64_t);
constexpr uint64_t kGrowBy = 8'192;

size_t offset_of(uint64_t place) {
  return kHeaderBytes + place * sizeof(uint64_t);
}

tl::unexpected<Error> failed(const std::filesystem::path& path, const char* what, int code) {
  return fail(code == ENOSPC ? ErrorCode::kFull : ErrorCode::kIo,
              path.string() + ": cannot " + what + ": " + std::strerror(code));
}

bool is_ours(int file) {
  char head[kHeaderBytes];
  struct stat info {};
  if (::fstat(file, &info) != 0 || ::pread(file, head, sizeof head, 0) != sizeof head) return false;
  uint64_t n_places = 0;
  std::memcpy(&n_places, head + 24, sizeof n_places);
  return std::string_view(head, kFormat.size()) == kFormat && n_places <= kPlacesMax &&
         offset_of(n_places) <= static_cast<uint64_t>(info.st_size);
}

}  // namespace

Result<UseStamps> UseStamps::open(const std::filesystem::path& path) {
  int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return failed(path, "open", errno);
  if (!is_ours(file)) {
    // A new one beside the old: others may have that mapped, and must not lose their pages.
    ::close(file);
    ::unlink(path.c_str());
    file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return failed(path, "make", errno);
    std::string head(kFormat);
    head.resize(kHeaderBytes, '\0');
    if (::pwrite(file, head.data(), head.size(), 0) != static_cast<ssize_t>(head.size())) {
      const int code = errno;
      ::close(file);
      return failed(path, "write", code);
    }
  }
  void* bytes = ::mmap(nullptr, kMapBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  if (bytes == MAP_FAILED) {
    const int code = errno;
    ::close(file);
    return failed(path, "map", code);
  }
  return UseStamps(path, file, static_cast<char*>(bytes));
}

UseStamps::UseStamps(UseStamps&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      bytes_(std::exchange(other.bytes_, nullptr)) {}

UseStamps::~UseStamps() {
  if (bytes_ != nullptr) ::munmap(bytes_, kMapBytes);
  if (file_ >= 0) ::close(file_);
}

void UseStamps::raise(uint64_t stamp) {
  uint64_t given = last_given().load(std::memory_order_relaxed);
  while (given < stamp && !last_given().compare_exchange_weak(given, stamp, std::memory_order_relaxed)) {
  }
}

void UseStamps::set(uint32_t place, uint64_t stamp) {
  if (place >= n_places().load(std::memory_order_acquire)) return;
  number_at(offset_of(place)).store(stamp, std::memory_order_relaxed);
}

uint64_t UseStamps::last(uint32_t place) const {
  if (place >= n_places().load(std::memory_order_acquire)) return 0;
  return number_at(offset_of(place)).load(std::memory_order_relaxed);
}

Result<void> UseStamps::grow(uint32_t n_wanted) {
  const uint64_t n_there = n_places().load(std::memory_order_relaxed);
  if (n_wanted <= n_there || n_there == kPlacesMax) return {};
  const uint64_t n_new = std::min(kPlacesMax, (n_wanted + kGrowBy - 1) / kGrowBy * kGrowBy);
  const size_t begin = offset_of(n_there);
  const int code =
      ::posix_fallocate(file_, static_cast<off_t>(begin), static_cast<off_t>(offset_of(n_new) - begin));
  if (code != 0) return failed(path_, "grow", code);
  n_places().store(n_new, std::memory_order_release);
  return {};
}

}  // namespace tandem
