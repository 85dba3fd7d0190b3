#include "shared/store/environment.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <mutex>
#include <set>
#include <system_error>

#include "shared/base/assert.h"
#include "shared/base/file.h"
#include "shared/store/environment_state.h"
#include "shared/store/first_file.h"
#include "shared/store/lmdb_error.h"

namespace tandem {
namespace {

// LMDB's file locks belong to the process: closing a second environment on the same folder would drop those
// of the first.
std::mutex open_stores_mutex;
std::set<std::pair<dev_t, ino_t>>& open_stores() {
  static std::set<std::pair<dev_t, ino_t>> stores;
  return stores;
}

Result<void> register_folder(EnvironmentState& state) {
  struct stat info {};
  if (::stat(state.folder.c_str(), &info) != 0) return fail_lmdb(state.folder.string(), errno);
  const std::lock_guard lock(open_stores_mutex);
  if (!open_stores().insert({info.st_dev, info.st_ino}).second) {
    return fail(ErrorCode::kExists, state.folder.string() + ": this process has the store open already");
  }
  state.registered = {info.st_dev, info.st_ino};
  return {};
}

Result<void> make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) return {};
  const bool full = error == std::errc::no_space_on_device;
  return fail(full ? ErrorCode::kFull : ErrorCode::kIo,
              folder.string() + ": cannot make the folder: " + error.message());
}

// Who only reads stands in LMDB's list of readers, which is all that the others need to know; but nobody may
// exchange the files under it (compact.h). Without a lock on a file system that nobody can write to.
Result<std::optional<FileLock>> lock_store(const std::filesystem::path& folder,
                                           const EnvironmentOptions& options) {
  if (options.read_only) {
    auto lock = FileLock::acquire(folder / kReadersLockFile, FileLock::Mode::kShared);
    struct statvfs disk {};
    if (!lock && ::statvfs(folder.c_str(), &disk) == 0 && (disk.f_flag & ST_RDONLY) != 0) return std::nullopt;
    if (!lock && lock.error().code == ErrorCode::kExists) {
      return fail(ErrorCode::kExists,
                  folder.string() + ": the store is being compacted (" + lock.error().text + ")");
    }
    if (!lock) return fail(lock.error());
    return std::move(*lock);
  }
  auto lock = FileLock::acquire(folder / "tandem.lock",
                                options.exclusive ? FileLock::Mode::kExclusive : FileLock::Mode::kShared);
  if (!lock && lock.error().code == ErrorCode::kExists) {
    return fail(ErrorCode::kExists,
                folder.string() + ": another process has the store open (" + lock.error().text + ")");
  }
  if (!lock) return fail(lock.error());
  return std::move(*lock);
}

}  // namespace

EnvironmentState::~EnvironmentState() {
  if (env != nullptr) mdb_env_close(env);
  if (registered) {
    const std::lock_guard guard(open_stores_mutex);
    open_stores().erase(*registered);
  }
}

Environment::Environment(std::shared_ptr<EnvironmentState> state) : state_(std::move(state)) {}
Environment::Environment(Environment&&) noexcept = default;
Environment& Environment::operator=(Environment&&) noexcept = default;
Environment::~Environment() = default;

Result<Environment> Environment::open(const std::filesystem::path& folder,
                                      const EnvironmentOptions& options) {
  if (!options.read_only) TANDEM_TRY(make_folder(folder));
  auto state = std::make_shared<EnvironmentState>();
  state->folder = folder;
  state->read_only = options.read_only;
  if (options.read_only && !std::filesystem::exists(folder / kDataFile)) {
    return fail(ErrorCode::kNotFound,
                folder.string() + ": expected a store, found no " + kDataFile + " there");
  }
  TANDEM_TRY(register_folder(*state));
  TANDEM_ASSIGN(state->lock, lock_store(folder, options));
  if (options.durable && options.exclusive && !options.read_only) TANDEM_TRY(make_first_file(folder));

  const std::string place = folder.string();
  if (const int code = mdb_env_create(&state->env); code != 0) return fail_lmdb(place, code);
  int code = 0;
  if (options.map_bytes != 0 && !options.read_only) code = mdb_env_set_mapsize(state->env, options.map_bytes);
  if (code == 0) code = mdb_env_set_maxdbs(state->env, options.tables_max);
  if (code == 0) code = mdb_env_set_maxreaders(state->env, options.readers_max);
  // NOTLS: a reading transaction belongs to its object, not to its thread.
  // NOMETASYNC: data is synced in order, only the last step of a commit may be lost. Never NOSYNC, which
  // may leave a damaged file.
  const unsigned flags =
      MDB_NOTLS | (options.read_only ? MDB_RDONLY : 0u) | (options.durable ? 0u : MDB_NOMETASYNC);
  if (code == 0) code = mdb_env_open(state->env, folder.c_str(), flags, 0644);
  if (code != 0) return fail_lmdb(place, code);

  Environment environment(std::move(state));
  if (!options.read_only) TANDEM_TRY(environment.clear_dead_readers());
  return environment;
}

namespace {

Result<MDB_txn*> begin(EnvironmentState& state, unsigned flags) {
  MDB_txn* txn = nullptr;
  int code = mdb_txn_begin(state.env, nullptr, flags, &txn);
  if (code == MDB_MAP_RESIZED && state.n_transactions == 0) {
    // Another process opened it with a larger map: take that size, too.
    code = mdb_env_set_mapsize(state.env, 0);
    if (code == 0) code = mdb_txn_begin(state.env, nullptr, flags, &txn);
  }
  if (code != 0) return fail_lmdb(state.folder.string(), code);
  return txn;
}

}  // namespace

Result<ReadTransaction> Environment::read() const {
  TANDEM_ASSIGN(MDB_txn * txn, begin(*state_, MDB_RDONLY));
  return ReadTransaction(state_, txn);
}

Result<WriteTransaction> Environment::write() {
  TANDEM_ASSERT(!state_->read_only, "nobody writes to a store that is open read_only");
  TANDEM_ASSIGN(MDB_txn * txn, begin(*state_, 0));
  return WriteTransaction(state_, txn);
}

Result<Table> Environment::table(const std::string& name) {
  if (state_->read_only) return existing_table(name);
  TANDEM_ASSIGN(WriteTransaction transaction, write());
  MDB_dbi handle = 0;
  if (const int code = mdb_dbi_open(transaction.txn_, name.c_str(), MDB_CREATE, &handle); code != 0) {
    return fail_lmdb(state_->folder.string() + ": table '" + name + "'", code);
  }
  TANDEM_TRY(transaction.commit());
  return Table(name, handle);
}

Result<Table> Environment::existing_table(const std::string& name) {
  TANDEM_ASSIGN(MDB_txn * txn, begin(*state_, MDB_RDONLY));
  MDB_dbi handle = 0;
  const std::string place = state_->folder.string() + ": table '" + name + "'";
  int code = mdb_dbi_open(txn, name.c_str(), 0, &handle);
  if (code == 0) {
    code = mdb_txn_commit(txn);  // keeps the handle
  } else {
    mdb_txn_abort(txn);
  }
  if (code == MDB_NOTFOUND) return fail(ErrorCode::kNotFound, place + ": there is none of that name");
  if (code != 0) return fail_lmdb(place, code);
  return Table(name, handle);
}

Result<StoreUsage> Environment::usage() const {
  TANDEM_ASSIGN(const ReadTransaction transaction, read());
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(state_->env, &info);
  mdb_env_stat(state_->env, &stat);

  // The list of free pages is table 0: each value begins with the number of pages in it.
  MDB_cursor* cursor = nullptr;
  if (const int code = mdb_cursor_open(transaction.txn_, 0, &cursor); code != 0) {
    return fail_lmdb(state_->folder.string(), code);
  }
  uint64_t n_free = 0;
  MDB_val key{}, value{};
  while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0)
    n_free += *static_cast<const size_t*>(value.mv_data);
  mdb_cursor_close(cursor);

  const uint64_t n_pages = info.me_last_pgno + 1;
  return StoreUsage{(n_pages - std::min(n_free, n_pages)) * stat.ms_psize, info.me_mapsize};
}

Result<void> Environment::check_in_place() const {
  mdb_filehandle_t file = -1;
  struct stat open_one {
  }, named{};
  if (mdb_env_get_fd(state_->env, &file) != 0 || fstat(file, &open_one) != 0) return {};
  const std::filesystem::path path = state_->folder / "data.mdb";
  if (stat(path.c_str(), &named) == 0 && named.st_ino == open_one.st_ino && named.st_dev == open_one.st_dev)
    return {};
  return fail(ErrorCode::kIo, path.string() + ": expected the file that is open, found " +
                                  (named.st_ino == 0 ? "none: it was removed" : "another: it was replaced"));
}

Result<void> Environment::sync() {
  if (const int code = mdb_env_sync(state_->env, 1); code != 0)
    return fail_lmdb(state_->folder.string(), code);
  return {};
}

Result<void> Environment::copy_to(const std::filesystem::path& to) const {
  if (const int code = mdb_env_copy2(state_->env, to.c_str(), MDB_CP_COMPACT); code != 0) {
    // LMDB's word for pages that are neither used nor free.
    if (code == MDB_INCOMPATIBLE) return fail_lmdb(state_->folder.string(), MDB_CORRUPTED);
    return fail_lmdb(to.string(), code);
  }
  return sync_to_disk(to / kDataFile);
}

Result<size_t> Environment::clear_dead_readers() {
  int n_dead = 0;
  if (const int code = mdb_reader_check(state_->env, &n_dead); code != 0) {
    return fail_lmdb(state_->folder.string(), code);
  }
  return static_cast<size_t>(n_dead);
}

const std::filesystem::path& Environment::folder() const {
  return state_->folder;
}

}  // namespace tandem
