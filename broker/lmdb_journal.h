// The journal in an LMDB folder of its own.
//
//   table "facts"         key: the fact's sequence, 8 bytes big-endian; value: the fact (fact_codec.h)
//   table "acknowledged"  key: the sequence of a finished fact whose outcome has arrived; value: nothing
//   table "meta"          "format_version": u32 little-endian, kFormatVersion
//                         "hash_seed": u64 little-endian, drawn at random when the journal was made
//
// Keys only ever grow, so every put is an append: full pages, no search (12 times the puts a second that
// random keys reach). The index from job id to sequence is kept in memory and rebuilt by replay.

#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>

#include "broker/journal.h"
#include "shared/store/environment.h"

namespace tandem::broker {

struct LmdbJournalOptions {
  std::filesystem::path folder;
  uint64_t bytes_max = 4ull << 30;  // what usage() says; the file may become a little larger
};

// A commit returns when the disk has it (two syncs).
class LmdbJournal final : public Journal {
 public:
  // Makes the folder if it is not there. kExists: another broker has it. kUnsupported: written in another
  // format version. kCorrupt: a store, and not a journal.
  static Result<std::unique_ptr<LmdbJournal>> open(const LmdbJournalOptions& options);

  using Journal::commit;
  Result<void> commit(std::span<const FactBatch* const> batches) override;
  Result<void> replay(const ReplayVisitor& visitor) override;
  Result<FactBody> read(Sequence sequence) override;
  void end_reads() override { reading_.reset(); }
  Result<JournalUsage> usage() override;
  uint64_t hash_seed() const override { return hash_seed_; }

 private:
  LmdbJournal(Environment environment, Table facts, Table acknowledged, uint64_t bytes_max,
              uint64_t hash_seed);
  Result<void> write(WriteTransaction& transaction, const FactBatch& batch);
  Result<void> append(WriteTransaction& transaction, const FactBatch& batch);

  Environment environment_;
  Table facts_;
  Table acknowledged_;
  uint64_t bytes_max_;
  uint64_t hash_seed_;
  std::atomic<uint64_t> n_commits_{0};
  // Kept over many reads, since beginning one costs more than a read. Pages that are freed meanwhile are not
  // used again.
  std::optional<ReadTransaction> reading_;
  uint64_t reading_since_ = 0;  // n_commits_ when it began
};

}  // namespace tandem::broker
