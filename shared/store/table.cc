#include "shared/store/table.h"

#include <lmdb.h>

#include <utility>

#include "shared/base/assert.h"
#include "shared/store/environment_state.h"
#include "shared/store/lmdb_error.h"
#include "shared/store/transaction.h"

namespace tandem {
namespace {

MDB_val to_lmdb(std::string_view bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};
}

std::string_view view(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

}  // namespace

// `in` in the functions below has not ended yet: a bug otherwise.
#define TANDEM_TXN_OF(in) \
  (TANDEM_ASSERT((in).txn_ != nullptr, "a transaction is used until it ends"), (in).txn_)

Result<std::optional<std::string_view>> Table::get(const Transaction& in, std::string_view key) const {
  MDB_val lmdb_key = to_lmdb(key), value{};
  const int code = mdb_get(TANDEM_TXN_OF(in), handle_, &lmdb_key, &value);
  if (code == MDB_NOTFOUND) return std::optional<std::string_view>();
  if (code != 0) return fail_lmdb(in.state_->folder.string() + ": table '" + name_ + "'", code);
  return std::optional(view(value));
}

namespace {

int put_entry(MDB_txn* txn, unsigned table, std::string_view key, std::string_view value, unsigned flags) {
  MDB_val lmdb_key = to_lmdb(key), lmdb_value = to_lmdb(value);
  return mdb_put(txn, table, &lmdb_key, &lmdb_value, flags);
}

}  // namespace

Result<void> Table::put(WriteTransaction& in, std::string_view key, std::string_view value) {
  const Transaction& transaction = in;
  const int code = put_entry(TANDEM_TXN_OF(transaction), handle_, key, value, 0);
  if (code != 0) return fail_lmdb(transaction.state_->folder.string() + ": table '" + name_ + "'", code);
  return {};
}

Result<void> Table::put_append(WriteTransaction& in, std::string_view key, std::string_view value) {
  const Transaction& transaction = in;
  const int code = put_entry(TANDEM_TXN_OF(transaction), handle_, key, value, MDB_APPEND);
  const std::string place = transaction.state_->folder.string() + ": table '" + name_ + "'";
  if (code == MDB_KEYEXIST) {
    return fail(ErrorCode::kInvalid, place + ": expected a key above all others, found one that is not");
  }
  if (code != 0) return fail_lmdb(place, code);
  return {};
}

Result<bool> Table::put_new(WriteTransaction& in, std::string_view key, std::string_view value) {
  const Transaction& transaction = in;
  const int code = put_entry(TANDEM_TXN_OF(transaction), handle_, key, value, MDB_NOOVERWRITE);
  if (code == MDB_KEYEXIST) return false;
  if (code != 0) return fail_lmdb(transaction.state_->folder.string() + ": table '" + name_ + "'", code);
  return true;
}

Result<bool> Table::erase(WriteTransaction& in, std::string_view key) {
  const Transaction& transaction = in;
  MDB_val lmdb_key = to_lmdb(key);
  const int code = mdb_del(TANDEM_TXN_OF(transaction), handle_, &lmdb_key, nullptr);
  if (code == MDB_NOTFOUND) return false;
  if (code != 0) return fail_lmdb(transaction.state_->folder.string() + ": table '" + name_ + "'", code);
  return true;
}

Result<void> Table::clear(WriteTransaction& in) {
  const Transaction& transaction = in;
  const int code = mdb_drop(TANDEM_TXN_OF(transaction), handle_, 0);
  if (code != 0) return fail_lmdb(transaction.state_->folder.string() + ": table '" + name_ + "'", code);
  return {};
}

Result<uint64_t> Table::count(const Transaction& in) const {
  MDB_stat stat{};
  const int code = mdb_stat(TANDEM_TXN_OF(in), handle_, &stat);
  if (code != 0) return fail_lmdb(in.state_->folder.string() + ": table '" + name_ + "'", code);
  return stat.ms_entries;
}

Result<uint64_t> Table::bytes(const Transaction& in) const {
  MDB_stat stat{};
  const int code = mdb_stat(TANDEM_TXN_OF(in), handle_, &stat);
  if (code != 0) return fail_lmdb(in.state_->folder.string() + ": table '" + name_ + "'", code);
  return (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * uint64_t{stat.ms_psize};
}

// ---- Cursor ----------------------------------------------------------------------------------------------

Result<Cursor> Cursor::open(const Transaction& in, const Table& table) {
  std::string place = in.state_->folder.string() + ": table '" + table.name_ + "'";
  MDB_cursor* cursor = nullptr;
  const int code = mdb_cursor_open(TANDEM_TXN_OF(in), table.handle_, &cursor);
  if (code != 0) return fail_lmdb(place, code);
  return Cursor(cursor, std::move(place));
}

Cursor::Cursor(Cursor&& other) noexcept
    : cursor_(std::exchange(other.cursor_, nullptr)), place_(std::move(other.place_)) {}

Cursor& Cursor::operator=(Cursor&& other) noexcept {
  std::swap(cursor_, other.cursor_);
  std::swap(place_, other.place_);
  return *this;
}

Cursor::~Cursor() {
  if (cursor_ != nullptr) mdb_cursor_close(cursor_);
}

Cursor::Found Cursor::move(int operation, std::string_view key) {
  MDB_val lmdb_key = to_lmdb(key), value{};
  const int code = mdb_cursor_get(cursor_, &lmdb_key, &value, static_cast<MDB_cursor_op>(operation));
  if (code == MDB_NOTFOUND) return std::optional<Entry>();
  if (code != 0) return fail_lmdb(place_, code);
  return std::optional(Entry{view(lmdb_key), view(value)});
}

Cursor::Found Cursor::first() {
  return move(MDB_FIRST);
}
Cursor::Found Cursor::last() {
  return move(MDB_LAST);
}
Cursor::Found Cursor::next() {
  return move(MDB_NEXT);
}
Cursor::Found Cursor::previous() {
  return move(MDB_PREV);
}
Cursor::Found Cursor::seek(std::string_view key) {
  return move(MDB_SET_RANGE, key);
}

Result<void> Cursor::erase() {
  if (const int code = mdb_cursor_del(cursor_, 0); code != 0) return fail_lmdb(place_, code);
  return {};
}

// ---- Appender --------------------------------------------------------------------------------------------

Result<Appender> Appender::open(WriteTransaction& in, const Table& table) {
  const Transaction& transaction = in;
  std::string place = transaction.state_->folder.string() + ": table '" + table.name_ + "'";
  MDB_cursor* cursor = nullptr;
  const int code = mdb_cursor_open(TANDEM_TXN_OF(transaction), table.handle_, &cursor);
  if (code != 0) return fail_lmdb(place, code);
  return Appender(cursor, std::move(place));
}

Appender::~Appender() {
  if (cursor_ != nullptr) mdb_cursor_close(cursor_);
}

Result<char*> Appender::append(std::string_view key, size_t n_bytes) {
  MDB_val lmdb_key = to_lmdb(key), value{n_bytes, nullptr};
  const int code = mdb_cursor_put(cursor_, &lmdb_key, &value, MDB_APPEND | MDB_RESERVE);
  if (code == MDB_KEYEXIST) {
    return fail(ErrorCode::kInvalid, place_ + ": expected a key above all others, found one that is not");
  }
  if (code != 0) return fail_lmdb(place_, code);
  return static_cast<char*>(value.mv_data);
}

// ---- keys ------------------------------------------------------------------------------------------------

std::string number_key(uint64_t number) {
  std::string key(8, '\0');
  for (size_t i = 0; i < 8; ++i) key[i] = static_cast<char>(number >> (56 - 8 * i));
  return key;
}

std::optional<uint64_t> number_from_key(std::string_view key) {
  if (key.size() != 8) return std::nullopt;
  uint64_t number = 0;
  for (const char byte : key) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

}  // namespace tandem
