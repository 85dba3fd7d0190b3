// One limit feeds the rest (DESIGN, decision 4): from the bytes for keys and values to every bound inside a
// worker, computed here and nowhere else, and printed at start. Pure.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "shared/base/result.h"
#include "worker/engine/kv/kv_cache.h"
#include "worker/scheduler/scheduler.h"

namespace tandem {

struct CapacityOptions {
  uint64_t kv_bytes = 0;          // memory for keys and values
  uint64_t sequences_max = 0;     // upper limit for what follows from kv_bytes
  uint64_t batch_tokens_max = 0;  // of one step
};

struct Capacity {
  uint64_t kv_bytes = 0;           // of whole blocks
  size_t n_blocks = 0;             // kv_bytes / bytes of a block
  size_t sequence_tokens_max = 0;  // prompt and answer of one sequence: all blocks, or the model's positions
  size_t sequences_max = 0;        // running at a time
  size_t batch_tokens_max = 0;     // of one step
  size_t credits = 0;              // jobs the broker may lend out to this worker at a time
  size_t interactive_extra = 0;    // interactive jobs on top of these
  uint64_t cost_max = 0;           // tokens of all jobs that it lends out together
  size_t sequences_waiting_max =
      0;                 // what the frontend can have in line for the engine: jobs * tasks * parts
  size_t parts_max = 0;  // parts of answers kept for a results socket that is full

  size_t jobs_max() const { return credits + interactive_extra; }
  SchedulerLimits scheduler_limits() const;
  std::string describe() const;  // one line, in the order of the derivation
};

// kInvalid when kv_bytes do not hold a single sequence of kSequenceTokensMin tokens: says how many are
// needed.
Result<Capacity> derive_capacity(const CapacityOptions& options, const engine::KvShape& shape,
                                 size_t n_positions_max);

// The blocks a usual sequence takes (a short text, its prompt, its answer): how many run side by side.
inline constexpr size_t kSequenceTokensUsual = 256;
inline constexpr size_t kSequenceTokensMin = 256;
// Of one long text, in line at a time: enough to fill a batch, and a book does not push all others' work
// aside.
inline constexpr size_t kPartsAtOnceMax = 16;

}  // namespace tandem
