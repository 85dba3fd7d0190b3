#include "shared/store/transaction.h"

#include <lmdb.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <utility>

#include "shared/base/assert.h"
#include "shared/store/environment_state.h"
#include "shared/store/lmdb_error.h"

namespace tandem {
namespace {

// The kernel writes what still fits and LMDB calls such a short write EIO: ask the disk what happened.
int real_reason(int code, const std::filesystem::path& folder) {
  constexpr uint64_t kSmall = 64u << 10;  // less than LMDB writes at a time
  struct statvfs disk {};
  if (code != EIO || ::statvfs(folder.c_str(), &disk) != 0) return code;
  return disk.f_bavail * disk.f_frsize < kSmall ? ENOSPC : EIO;
}

}  // namespace

Transaction::Transaction(std::shared_ptr<EnvironmentState> state, MDB_txn* txn)
    : state_(std::move(state)), txn_(txn) {
  ++state_->n_transactions;
}

Transaction::Transaction(Transaction&& other) noexcept
    : state_(std::move(other.state_)), txn_(std::exchange(other.txn_, nullptr)) {}

Transaction& Transaction::operator=(Transaction&& other) noexcept {
  if (this == &other) return *this;
  abort();
  state_ = std::move(other.state_);
  txn_ = std::exchange(other.txn_, nullptr);
  return *this;
}

Transaction::~Transaction() {
  abort();
}

void Transaction::abort() noexcept {
  if (txn_ == nullptr) return;
  mdb_txn_abort(std::exchange(txn_, nullptr));
  --state_->n_transactions;
}

void ReadTransaction::rest() {
  mdb_txn_reset(txn_);
}

Result<void> ReadTransaction::renew() {
  if (const int code = mdb_txn_renew(txn_); code != 0) return fail_lmdb(state_->folder.string(), code);
  return {};
}

Result<void> WriteTransaction::commit() {
  TANDEM_ASSERT(txn_ != nullptr, "a transaction is committed once");
  const int code = mdb_txn_commit(std::exchange(txn_, nullptr));  // frees it even when it fails
  --state_->n_transactions;
  if (code != 0) return fail_lmdb(state_->folder.string(), real_reason(code, state_->folder));
  return {};
}

}  // namespace tandem
