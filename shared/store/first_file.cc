#include "shared/store/first_file.h"

#include <lmdb.h>

#include <memory>
#include <system_error>

#include "shared/base/file.h"
#include "shared/store/lmdb_error.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

struct Close {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};

// Nobody else knows of it yet: no locks, and the smallest map that LMDB takes.
Result<void> write_empty_store(const fs::path& folder) {
  MDB_env* opened = nullptr;
  if (const int code = mdb_env_create(&opened); code != 0) return fail_lmdb(folder.string(), code);
  const std::unique_ptr<MDB_env, Close> env(opened);
  int code = mdb_env_open(env.get(), folder.c_str(), MDB_NOLOCK, 0644);
  if (code == 0) code = mdb_env_sync(env.get(), 1);
  if (code != 0) return fail_lmdb(folder.string(), code);
  return {};
}

tl::unexpected<Error> failed(const fs::path& path, const std::error_code& error) {
  const bool full = error == std::errc::no_space_on_device;
  return fail(full ? ErrorCode::kFull : ErrorCode::kIo,
              path.string() + ": cannot make a store: " + error.message());
}

}  // namespace

Result<void> make_first_file(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / "data.mdb", error)) return {};
  const fs::path beside = folder / "new";
  fs::remove_all(beside, error);  // of a beginning that was cut off
  if (!fs::create_directory(beside, error) || error) return failed(beside, error);
  TANDEM_TRY(write_empty_store(beside));
  fs::rename(beside / "data.mdb", folder / "data.mdb", error);
  if (error) return failed(folder, error);
  fs::remove_all(beside, error);
  TANDEM_TRY(sync_to_disk(folder));
  // Those above, as far as we may read them: some of them may be as new as this one.
  for (fs::path above = fs::absolute(folder).lexically_normal(); above.has_relative_path();) {
    above = above.parent_path();
    (void)sync_to_disk(above);
  }
  return {};
}

}  // namespace tandem
