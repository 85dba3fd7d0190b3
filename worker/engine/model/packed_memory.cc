#include "worker/engine/model/packed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <span>
#include <thread>

#include "shared/base/file_lock.h"
#include "shared/base/hash.h"

namespace tandem::engine {
namespace {

constexpr size_t kHeaderBytes = 4096;
constexpr std::chrono::milliseconds kLookAgain{50};

std::string header_of(const std::string& name, std::span<const std::byte> packed) {
  const std::string_view content(reinterpret_cast<const char*>(packed.data()), packed.size());
  std::string header = "tandem-packed-2\n" + name + "\n" + hash128(content).to_hex() + "\n";
  header.resize(kHeaderBytes);
  return header;
}

// Empty when it is not there, or not what it should be: then it is made again.
MappedFile map_whole(const std::filesystem::path& path, const std::string& name, size_t n_bytes) {
  auto file = MappedFile::open(path);
  if (!file || file->bytes().size() != kHeaderBytes + n_bytes) return {};
  // Pages that are in memory already are mapped in one go, which is faster than a fault for each.
  void* const start = const_cast<std::byte*>(file->bytes().data());
#ifdef MADV_POPULATE_READ
  (void)::madvise(start, file->bytes().size(), MADV_POPULATE_READ);
#else
  (void)::madvise(start, file->bytes().size(), MADV_WILLNEED);
#endif
  const std::string header = header_of(name, file->bytes().subspan(kHeaderBytes));
  if (std::memcmp(file->bytes().data(), header.data(), kHeaderBytes) != 0) return {};
  return std::move(*file);
}

bool has_room(const std::filesystem::path& folder, size_t n_bytes) {
  struct statvfs room {};
  return ::statvfs(folder.c_str(), &room) == 0 && room.f_bavail * room.f_frsize > n_bytes + n_bytes / 8;
}

// A file under a name of its own until it is complete.
class Draft {
 public:
  Draft(std::filesystem::path path, size_t n_bytes) : path_(std::move(path)), n_bytes_(n_bytes) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    // Room is taken now: a full disk is an error here, not a signal in the middle of writing.
    if (fd_ < 0 || ::posix_fallocate(fd_, 0, static_cast<off_t>(n_bytes)) != 0) return;
    void* const data = ::mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (data != MAP_FAILED) data_ = static_cast<std::byte*>(data);
  }
  ~Draft() {
    if (data_ != nullptr) ::munmap(data_, n_bytes_);
    if (fd_ >= 0) ::close(fd_);
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove(path_, ignored);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  std::byte* data() { return data_; }
  // True when the file has its name, and everything in it is on disk.
  bool become(const std::filesystem::path& path) {
    if (::fsync(fd_) != 0 || ::rename(path_.c_str(), path.c_str()) != 0) return false;
    path_.clear();
    return true;
  }

 private:
  std::filesystem::path path_;
  size_t n_bytes_;
  int fd_ = -1;
  std::byte* data_ = nullptr;
};

// Waits for another process that is packing the same; without a lock to be had, nobody is.
Result<FileLock> wait_for_lock(const std::filesystem::path& path) {
  for (;;) {
    auto lock = FileLock::acquire(path, FileLock::Mode::kExclusive, FileLock::AtEnd::kRemoveFile);
    if (lock || lock.error().code != ErrorCode::kExists) return lock;
    std::this_thread::sleep_for(kLookAgain);
  }
}

}  // namespace

Result<PackedMemory> PackedMemory::open(const std::filesystem::path& folder, const std::string& name,
                                        size_t n_bytes, const Fill& fill) {
  PackedMemory memory;
  std::error_code ignored;
  if (!folder.empty() && (std::filesystem::create_directories(folder, ignored),
                          std::filesystem::is_directory(folder, ignored))) {
    const std::filesystem::path path = folder / (name + ".packed");
    memory.file_ = map_whole(path, name, n_bytes);
    if (memory.is_shared()) return memory;

    if (const auto lock = wait_for_lock(folder / (name + ".lock")); lock && has_room(folder, n_bytes)) {
      memory.file_ = map_whole(path, name, n_bytes);  // somebody else has packed it meanwhile
      if (memory.is_shared()) return memory;
      Draft draft(folder / (name + ".draft"), kHeaderBytes + n_bytes);
      if (draft.data() != nullptr) {
        fill(draft.data() + kHeaderBytes);
        const std::string header = header_of(name, {draft.data() + kHeaderBytes, n_bytes});
        std::memcpy(draft.data(), header.data(), kHeaderBytes);
        if (draft.become(path)) memory.file_ = map_whole(path, name, n_bytes);
        if (memory.is_shared()) return memory;
      }
    }
  }
  TANDEM_ASSIGN(memory.own_, FloatBuffer::reserve((n_bytes + sizeof(float) - 1) / sizeof(float)));
  fill(reinterpret_cast<std::byte*>(memory.own_.data()));
  return memory;
}

const std::byte* PackedMemory::data() const {
  return is_shared() ? file_.bytes().data() + kHeaderBytes : reinterpret_cast<const std::byte*>(own_.data());
}

}  // namespace tandem::engine
