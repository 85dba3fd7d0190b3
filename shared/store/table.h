// A sorted map of bytes to bytes in a store, and a place in it.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "shared/base/result.h"

struct MDB_txn;
struct MDB_cursor;

namespace tandem {

class Transaction;
class WriteTransaction;
struct EnvironmentState;

// Keys are compared byte by byte, have 1 to 511 bytes; numbers go in big-endian (number_key) to keep their
// order.
class Table {
 public:
  // Nothing when the key is not there. A view of the map: valid until the transaction ends or changes
  // something.
  Result<std::optional<std::string_view>> get(const Transaction& in, std::string_view key) const;

  // Inserts or replaces. kFull: the map is full; the transaction is spoiled and can only be ended.
  Result<void> put(WriteTransaction& in, std::string_view key, std::string_view value);
  // The same for a key that is greater than all others: quicker, and fills pages fully. kInvalid if it is
  // not.
  Result<void> put_append(WriteTransaction& in, std::string_view key, std::string_view value);
  // Inserts, unless the key is there: true when it did.
  Result<bool> put_new(WriteTransaction& in, std::string_view key, std::string_view value);
  // True when it was there.
  Result<bool> erase(WriteTransaction& in, std::string_view key);
  Result<void> clear(WriteTransaction& in);

  // Calls `visit(key, value)` for every entry from the first key that is not below `from`, in order, until
  // it says false. The table must not be changed meanwhile.
  template <typename Visit>
  Result<void> for_each(const Transaction& in, std::string_view from, Visit&& visit) const;

  Result<uint64_t> count(const Transaction& in) const;
  Result<uint64_t> bytes(const Transaction& in) const;  // of its pages
  const std::string& name() const { return name_; }

 private:
  friend class Environment;
  friend class Cursor;
  friend class Appender;
  Table(std::string name, unsigned handle) : name_(std::move(name)), handle_(handle) {}

  std::string name_;
  unsigned handle_;
};

// A place in a table. Lives inside its transaction.
class Cursor {
 public:
  struct Entry {
    std::string_view key;
    std::string_view value;
  };
  using Found = Result<std::optional<Entry>>;  // nothing past either end

  static Result<Cursor> open(const Transaction& in, const Table& table);
  Cursor(Cursor&& other) noexcept;
  Cursor& operator=(Cursor&& other) noexcept;
  ~Cursor();

  Found first();
  Found last();
  Found next();
  Found previous();
  Found seek(std::string_view key);  // the first entry whose key is not below
  Result<void> erase();              // the entry it is at; next() then gives the one after

 private:
  Cursor(MDB_cursor* cursor, std::string place) : cursor_(cursor), place_(std::move(place)) {}
  Found move(int operation, std::string_view key = {});

  MDB_cursor* cursor_ = nullptr;
  std::string place_;
};

// Appends many entries in one transaction, in which it lives: no search and no copy.
class Appender {
 public:
  static Result<Appender> open(WriteTransaction& in, const Table& table);
  Appender(Appender&& other) noexcept
      : cursor_(std::exchange(other.cursor_, nullptr)), place_(std::move(other.place_)) {}
  Appender& operator=(Appender&&) = delete;
  ~Appender();

  // Room for the value of a key that is greater than all others, to be filled before anything else is done in
  // the transaction. Errors as for put_append.
  Result<char*> append(std::string_view key, size_t n_bytes);

 private:
  Appender(MDB_cursor* cursor, std::string place) : cursor_(cursor), place_(std::move(place)) {}

  MDB_cursor* cursor_ = nullptr;
  std::string place_;
};

template <typename Visit>
Result<void> Table::for_each(const Transaction& in, std::string_view from, Visit&& visit) const {
  TANDEM_ASSIGN(Cursor cursor, Cursor::open(in, *this));
  Cursor::Found found = from.empty() ? cursor.first() : cursor.seek(from);
  while (found && *found) {
    if (!visit((*found)->key, (*found)->value)) return {};
    found = cursor.next();
  }
  if (!found) return fail(found.error());
  return {};
}

// The bytes of a plain value, as key or value: view_of(id.bytes).
template <typename T>
requires std::is_trivially_copyable_v<T> std::string_view view_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// A number as a key that sorts like the number.
std::string number_key(uint64_t number);
std::optional<uint64_t> number_from_key(std::string_view key);

}  // namespace tandem
