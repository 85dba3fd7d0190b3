// An LMDB folder: a memory-mapped store with transactions, which survives the death of any process that has
// it open. The only way to LMDB for the rest of Tandem, together with transaction.h and table.h.

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "shared/base/result.h"
#include "shared/store/transaction.h"

namespace tandem {

struct EnvironmentOptions {
  // Upper limit of the file; address space, not disk (README.md). 0: as large as it was made.
  uint64_t map_bytes = 1ull << 30;
  uint32_t tables_max = 16;
  uint32_t readers_max = 126;
  // true: a commit returns when its bytes are on disk. false: a power cut may forget the last commits, never
  // more; the store stays whole. For caches.
  bool durable = true;
  // true: one process has it to itself. false: all that say so share it.
  bool exclusive = true;
  // true: nothing is written, and nothing is waited for: beside whoever has it open, exclusively or not, for
  // as long as a look takes (README.md). The store must be there; map_bytes, durable and exclusive mean
  // nothing.
  bool read_only = false;
};

struct StoreUsage {
  uint64_t used_bytes = 0;  // pages with data; pages that were freed are not counted
  uint64_t map_bytes = 0;
};

// Safe from any thread. Outlives its transactions and tables. Not usable after fork() in the child.
class Environment {
 public:
  // Makes the folder when it is missing. kExists: open already, by another process (named by its id when it
  // is exclusive) or twice in this one, which LMDB does not survive. kCorrupt: the files are no store of
  // this format. kFull: no disk space. kNotFound: nothing there to read_only. kIo: no permission and the
  // like. All name the folder.
  static Result<Environment> open(const std::filesystem::path& folder, const EnvironmentOptions& options);
  Environment(Environment&&) noexcept;
  Environment& operator=(Environment&&) noexcept;
  ~Environment();

  // A snapshot: what is committed now, unchanged for as long as it lives. Pages freed meanwhile are not
  // reused, so keep it short. kFull: readers_max are open.
  Result<ReadTransaction> read() const;
  // The only writer of all processes: waits for the one before to end. At most one a thread. Not read_only.
  Result<WriteTransaction> write();

  // Opens the table, making it when it is missing, in a transaction of its own: not while this thread writes.
  // kNotFound: it is missing, and the environment is read_only.
  Result<Table> table(const std::string& name);

  Result<StoreUsage> usage() const;
  // kIo: its file was removed or replaced by another since it was opened; nobody else will see what is
  // written.
  Result<void> check_in_place() const;
  // For !durable: all commits so far are on disk afterwards.
  Result<void> sync();
  // Writes what is committed now into the folder `to`, which is there and empty, as a store of its own
  // without free pages, and syncs it. Others read and write meanwhile; the pages of the moment stay until it
  // is done.
  Result<void> copy_to(const std::filesystem::path& to) const;
  // Frees the pages that readers of dead processes hold; done at open, too. The number of them.
  Result<size_t> clear_dead_readers();
  const std::filesystem::path& folder() const;

 private:
  explicit Environment(std::shared_ptr<EnvironmentState> state);
  Result<Table> existing_table(const std::string& name);
  std::shared_ptr<EnvironmentState> state_;
};

}  // namespace tandem
