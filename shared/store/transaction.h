// Reading and writing in a store, all or nothing.

#pragma once

#include <memory>

#include "shared/base/result.h"
#include "shared/store/table.h"

namespace tandem {

struct EnvironmentState;

// What both kinds have in common: tables read through it. Views given out are valid until it ends, and in a
// writing transaction until the next change.
class Transaction {
 public:
  Transaction(Transaction&&) noexcept;
  Transaction& operator=(Transaction&&) noexcept;
  ~Transaction();  // without commit(), nothing of it happened

 protected:
  friend class Table;
  friend class Cursor;
  friend class Appender;
  friend class Environment;
  Transaction(std::shared_ptr<EnvironmentState> state, MDB_txn* txn);
  void abort() noexcept;

  std::shared_ptr<EnvironmentState> state_;
  MDB_txn* txn_ = nullptr;
};

// May move between threads, used by one at a time.
class ReadTransaction : public Transaction {
 public:
  // For one that is used again and again, which is cheaper than a new one each time. rest() lets go of the
  // snapshot, so that its pages can be used again, and of all views; renew() takes that of now.
  void rest();
  Result<void> renew();

 private:
  friend class Environment;
  using Transaction::Transaction;
};

// Stays on the thread that began it.
class WriteTransaction : public Transaction {
 public:
  // kFull: the map or the disk is full, and nothing of it happened. kIo: the disk failed. Ends it either way.
  Result<void> commit();

 private:
  friend class Environment;
  using Transaction::Transaction;
};

}  // namespace tandem
