// The journal: append facts, replay facts, read a payload. Kept this small so that something else than one
// LMDB folder can stand behind it (DESIGN: a replicated PostgreSQL).

#pragma once

#include <functional>
#include <span>
#include <string>

#include "broker/facts.h"
#include "shared/base/result.h"

namespace tandem::broker {

// What replay hands out: the facts without their payloads, which stay on disk. An error from a visitor ends
// the replay and is passed on.
struct ReplayVisitor {
  std::function<Result<void>(AcceptedFact fact, size_t payload_bytes)> accepted;
  std::function<Result<void>(FinishedFact fact, size_t payload_bytes)> finished;
  std::function<void(Sequence finished)> acknowledged;  // after all facts
};

struct JournalUsage {
  uint64_t bytes_used = 0;
  uint64_t bytes_max = 0;
};

// The parts of a fact that are not kept in memory.
struct FactBody {
  Bytes payload;
  Error error;  // of the finished fact of a failed job
};

// One thread at a time commits, and one, perhaps another, does the rest, also while the first commits.
class Journal {
 public:
  virtual ~Journal() = default;

  // Writes all of the batches or nothing, in one transaction and one after the other, and returns when they
  // are on disk. Sequences are larger than all that are there and strictly increasing over a batch's accepted
  // and finished together, and over batches; forgotten ones are those of earlier batches, acknowledged ones
  // are not forgotten. An error (kFull, kIo) leaves the journal as it was; the caller ends, and comes back by
  // replay.
  virtual Result<void> commit(std::span<const FactBatch* const> batches) = 0;
  Result<void> commit(const FactBatch& batch) {
    const FactBatch* const one = &batch;
    return commit({&one, 1});
  }

  // All facts in the order of their sequences. kCorrupt names the fact that is not what it claims to be.
  virtual Result<void> replay(const ReplayVisitor& visitor) = 0;

  // Sees what was committed before it. kNotFound: never committed, or forgotten. kCorrupt: the bytes are not
  // those that were written.
  virtual Result<FactBody> read(Sequence sequence) = 0;
  // To be called after some reads: lets go of what they hold, so that its room can be used again.
  virtual void end_reads() {}

  // kIo: the journal is not where it was opened any more; what is committed would be lost.
  virtual Result<JournalUsage> usage() = 0;

  // The key of payload_hash: drawn at random when the journal was made, and never told to anybody.
  virtual uint64_t hash_seed() const = 0;
};

}  // namespace tandem::broker
