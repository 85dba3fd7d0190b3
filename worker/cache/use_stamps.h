// When each entry of a cache was last used: a file of counters that all processes of the host have mapped. A
// use is two atomic instructions, and no transaction.
//
//   offset 0   "tandem uses 1\0\0\0"
//         16   the last stamp given out, 8 bytes
//         24   how many places follow, 8 bytes
//         64   for each place the stamp of its last use, 8 bytes; 0: none
//
// Numbers are in the byte order of the host: the file never leaves it. Nothing depends on it but which entry
// goes first: after a power cut it may be older than the entries are.

#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>

#include "shared/base/result.h"

namespace tandem {

// Safe from any thread and process, but for grow() and raise(): one at a time.
class UseStamps {
 public:
  // Makes the file when it is missing, and anew when it is of another format. Whoever has it mapped already
  // keeps the old one, so open() is called under a lock that all hold. kIo, kFull with the path.
  static Result<UseStamps> open(const std::filesystem::path& file);
  UseStamps(UseStamps&& other) noexcept;
  UseStamps& operator=(UseStamps&&) = delete;
  ~UseStamps();

  // Larger than all before.
  uint64_t next() { return last_given().fetch_add(1, std::memory_order_relaxed) + 1; }
  uint64_t given() const { return last_given().load(std::memory_order_relaxed); }
  // The stamps that follow are larger than `stamp`.
  void raise(uint64_t stamp);

  // The entry of this place is used now. A place that is not there is passed over.
  void use(uint32_t place) { set(place, next()); }
  void set(uint32_t place, uint64_t stamp);
  uint64_t last(uint32_t place) const;  // 0 for a place that is not there

  // There are at least so many places afterwards, on the disk, too: touching a page that a full disk has no
  // room for would end the process. kFull.
  Result<void> grow(uint32_t n_places);

 private:
  using Number = std::atomic<uint64_t>;
  static_assert(Number::is_always_lock_free && sizeof(Number) == 8, "shared by processes");

  UseStamps(std::filesystem::path path, int file, char* bytes)
      : path_(std::move(path)), file_(file), bytes_(bytes) {}
  Number& number_at(size_t offset) const { return *reinterpret_cast<Number*>(bytes_ + offset); }
  Number& last_given() const { return number_at(16); }
  Number& n_places() const { return number_at(24); }

  std::filesystem::path path_;
  int file_ = -1;
  char* bytes_ = nullptr;  // more than the file has, which may grow
};

}  // namespace tandem
