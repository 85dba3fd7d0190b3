// The table "meta" of a journal: what must be known before a fact is read (lmdb_journal.h).

#pragma once

#include <cstdint>
#include <optional>

#include "shared/base/result.h"
#include "shared/store/environment.h"

namespace tandem::broker {

struct JournalMeta {
  uint32_t format_version = 0;
  uint64_t hash_seed = 0;
};

// Nothing if the table is empty. kUnsupported: another format version, which is named. kCorrupt: no seed.
Result<std::optional<JournalMeta>> read_meta(const Transaction& in, const Table& meta);
Result<void> write_meta(WriteTransaction& in, Table& table, const JournalMeta& meta);

}  // namespace tandem::broker
