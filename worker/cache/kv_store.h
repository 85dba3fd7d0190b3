// Keys and values of texts' beginnings, in one LMDB environment for all workers of the host.
//
//   table     key                                       value
//   blocks    kv_key(), 16 or 32 bytes                  record (kv_record.h)
//   used      kv_key()                                  stamp of the last use, 8 bytes big-endian
//   order     stamp, 8 bytes big-endian                 kv_key(): the least recently used comes first
//   meta      "format"                                  kKvFormat
//   meta      "totals"                                  blocks, bytes, next stamp: 3 x 8 bytes big-endian
//
// A stamp is a counter that all processes share. Blocks of several models lie side by side; those of a model
// that nobody asks for any more are used by nobody and go first.

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "shared/store/environment.h"
#include "worker/cache/kv_record.h"

namespace tandem {

struct KvStoreOptions {
  std::filesystem::path folder;
  uint64_t bytes_max = 1ull << 30;  // records and bookkeeping; the least recently used go first
  KvIdentity identity;
  size_t block_bytes = 0;  // content of one block
  uint64_t map_bytes = 0;  // upper limit of the file; 0: ample for bytes_max. For tests of a full map.
};

struct KvChange {
  enum class Kind : uint8_t { kStore, kUse, kRemoveIfBad };
  Kind kind = Kind::kUse;
  std::string key;
  std::string record{};  // of kStore, sealed
};

// Of the folder, as last written by any process.
struct KvTotals {
  uint64_t blocks = 0;
  uint64_t bytes = 0;
  uint64_t next_stamp = 1;
};

// What changes came to, since the store was opened.
struct KvStoreCounts {
  uint64_t stored = 0, evicted = 0;
  uint64_t removed = 0;  // they were damaged
};

// Any number of processes may have the folder open. find() and totals() are safe from any thread; apply() and
// counts() belong to one, beside which others may find.
class KvStore {
 public:
  // Empties a store of another format and says so in note(). kIo, kCorrupt with the folder's name.
  static Result<KvStore> open(const KvStoreOptions& options);

  struct Found {
    size_t n_tokens = 0;  // of `text`, behind the first n_before; 0: nothing
    // Keys of records that are not what they should be, met on the way: for kRemoveIfBad.
    std::vector<std::string> damaged;
  };
  // Copies the block with which more than `n_known` tokens of `text` are there into `content` (block_bytes):
  // the one behind the first `n_before` tokens, which are full blocks. Of a block that is not full, or goes
  // on otherwise, the first tokens count. What was copied is checked before it is found; what is not found
  // may have been written over.
  Result<Found> find(std::span<const engine::TokenId> text, size_t n_before, size_t n_known,
                     std::span<std::byte> content) const;

  // All changes in one transaction, the least recently used evicted first. Later changes count as used later.
  // A full map makes room, in the end by forgetting everything; an error means that nothing was written. What
  // is there already is used, not written again.
  Result<void> apply(const std::vector<KvChange>& changes);
  Result<void> clear();

  Result<KvTotals> totals() const;
  const KvStoreCounts& counts() const { return counts_; }
  const std::string& note() const { return note_; }

 private:
  KvStore(KvStoreOptions options, Environment environment, Table blocks, Table used, Table order, Table meta);

  Result<void> check_format();
  Result<KvTotals> read_totals(const Transaction& in) const;
  Result<void> write_totals(WriteTransaction& in, const KvTotals& totals);
  Result<void> try_apply(const std::vector<KvChange>& changes);
  Result<void> apply_one(WriteTransaction& in, const KvChange& change, KvTotals& totals);
  Result<void> mark_used(WriteTransaction& in, std::string_view key, KvTotals& totals);
  Result<bool> remove(WriteTransaction& in, const std::string& key, KvTotals& totals);
  Result<void> evict_down_to(WriteTransaction& in, uint64_t bytes_max, KvTotals& totals);
  Result<void> clear_tables(WriteTransaction& in, KvTotals& totals);
  Result<void> make_room();

  KvStoreOptions options_;
  Environment environment_;
  Table blocks_, used_, order_, meta_;
  KvStoreCounts counts_;
  std::string note_;
};

}  // namespace tandem
