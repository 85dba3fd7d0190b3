#include "worker/scheduler/capacity.h"

#include <algorithm>

#include "shared/base/limits.h"

namespace tandem {

SchedulerLimits Capacity::scheduler_limits() const {
  return {.n_blocks = n_blocks,
          .sequences_max = sequences_max,
          .batch_tokens_max = batch_tokens_max,
          .positions_max = sequence_tokens_max};
}

std::string Capacity::describe() const {
  return "kv_bytes=" + std::to_string(kv_bytes) + " blocks=" + std::to_string(n_blocks) +
         " tokens=" + std::to_string(n_blocks * engine::kBlockTokens) +
         " sequence_tokens_max=" + std::to_string(sequence_tokens_max) +
         " sequences_max=" + std::to_string(sequences_max) +
         " batch_tokens_max=" + std::to_string(batch_tokens_max) + " credits=" + std::to_string(credits) +
         " interactive_extra=" + std::to_string(interactive_extra) + " cost_max=" + std::to_string(cost_max) +
         " sequences_waiting_max=" + std::to_string(sequences_waiting_max) +
         " parts_max=" + std::to_string(parts_max);
}

Result<Capacity> derive_capacity(const CapacityOptions& options, const engine::KvShape& shape,
                                 size_t n_positions_max) {
  const uint64_t block_bytes = shape.block_bytes();
  const size_t n_tokens_min = std::min(kSequenceTokensMin, n_positions_max);
  const size_t n_blocks_min = (n_tokens_min + engine::kBlockTokens - 1) / engine::kBlockTokens;

  Capacity capacity;
  capacity.n_blocks = options.kv_bytes / block_bytes;
  if (capacity.n_blocks < n_blocks_min) {
    return fail(ErrorCode::kInvalid,
                "kv_bytes: expected at least " + std::to_string(n_blocks_min * block_bytes) +
                    " for one sequence of " + std::to_string(n_tokens_min) +
                    " tokens with this model, found " + std::to_string(options.kv_bytes));
  }
  capacity.kv_bytes = capacity.n_blocks * block_bytes;
  capacity.sequence_tokens_max = std::min(capacity.n_blocks * engine::kBlockTokens, n_positions_max);

  const size_t n_side_by_side = capacity.n_blocks * engine::kBlockTokens / kSequenceTokensUsual;
  capacity.batch_tokens_max = std::max<size_t>(options.batch_tokens_max, 1);
  capacity.sequences_max = std::clamp<size_t>(std::min<size_t>(n_side_by_side, options.sequences_max), 1,
                                              capacity.batch_tokens_max);
  // Twice what runs: when a step frees places, the next jobs are here already, tokenised.
  capacity.credits = 2 * capacity.sequences_max;
  // A worker that is full of bulk still takes jobs that somebody waits for; the scheduler lets them pass.
  capacity.interactive_extra = std::max<size_t>(capacity.credits / 4, 1);
  // The same twice in tokens: few long texts are as much work as many short ones.
  capacity.cost_max = uint64_t{2} * capacity.n_blocks * engine::kBlockTokens;
  capacity.sequences_waiting_max = capacity.jobs_max() * limits::kTasksPerJobMax * kPartsAtOnceMax;
  capacity.parts_max = 64 * capacity.jobs_max();
  return capacity;
}

}  // namespace tandem
