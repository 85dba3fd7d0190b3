#include "shared/store/compact.h"

#include <system_error>
#include <utility>

#include "shared/base/file.h"
#include "shared/base/file_lock.h"
#include "shared/store/environment.h"
#include "shared/store/environment_state.h"

namespace tandem {
namespace {

constexpr const char* kCopyFolder = "compacting";

// Removes the copy, unless it has become the store.
struct CopyFolder {
  std::filesystem::path path;
  ~CopyFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace

Result<Compacted> compact_store(const std::filesystem::path& folder,
                                const std::function<Result<void>(const std::filesystem::path& copy)>& check) {
  std::error_code error;
  if (!std::filesystem::exists(folder / kDataFile, error)) {
    return fail(ErrorCode::kNotFound,
                folder.string() + ": expected a store, found no " + kDataFile + " there");
  }
  // Alone: a reader that had the old file open would share LMDB's list of readers, and the number of the last
  // transaction in it, with whoever opens the new one. Both locks are held until the exchange is done.
  EnvironmentOptions options;
  options.map_bytes = 0;
  TANDEM_ASSIGN(const Environment environment, Environment::open(folder, options));
  const auto readers = FileLock::acquire(folder / kReadersLockFile, FileLock::Mode::kExclusive);
  if (!readers && readers.error().code == ErrorCode::kExists) {
    return fail(ErrorCode::kExists,
                folder.string() + ": another process reads the store (" + readers.error().text + ")");
  }
  if (!readers) return fail(readers.error());

  const CopyFolder copy{folder / kCopyFolder};
  std::filesystem::remove_all(copy.path, error);  // of a compaction that was killed
  if (!std::filesystem::create_directory(copy.path, error)) {
    return fail(error == std::errc::no_space_on_device ? ErrorCode::kFull : ErrorCode::kIo,
                copy.path.string() + ": cannot make the folder: " + error.message());
  }
  TANDEM_TRY(environment.copy_to(copy.path));
  TANDEM_TRY(check(copy.path));

  Compacted sizes;
  const std::filesystem::path old = folder / kDataFile, compacted = copy.path / kDataFile;
  sizes.bytes_before = std::filesystem::file_size(old, error);
  sizes.bytes_after = std::filesystem::file_size(compacted, error);
  const auto rights = std::filesystem::status(old, error).permissions();
  if (!error) std::filesystem::permissions(compacted, rights, error);
  if (!error) std::filesystem::rename(compacted, old, error);
  if (error) return fail(ErrorCode::kIo, old.string() + ": cannot exchange it: " + error.message());
  TANDEM_TRY(sync_to_disk(folder));
  return sizes;
}

void remove_unfinished_compaction(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / kCopyFolder, ignored)) return;
  const auto alone = FileLock::acquire(folder / kReadersLockFile, FileLock::Mode::kExclusive);
  if (alone) std::filesystem::remove_all(folder / kCopyFolder, ignored);
}

}  // namespace tandem
