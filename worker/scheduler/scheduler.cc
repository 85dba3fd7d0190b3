#include "worker/scheduler/scheduler.h"

#include <algorithm>
#include <string>

#include "shared/base/assert.h"
#include "worker/engine/kv/kv_cache.h"

namespace tandem {

using engine::kBlockTokens;

namespace {

size_t blocks_of(size_t n_tokens) {
  return (n_tokens + kBlockTokens - 1) / kBlockTokens;
}

}  // namespace

size_t blocks_needed(const SequenceNeed& need) {
  size_t n_blocks = blocks_of(need.n_prompt + need.decode_max);
  const size_t n_shared = need.n_prompt / kBlockTokens;
  for (const size_t path : need.paths) n_blocks += blocks_of(need.n_prompt + path) - n_shared;
  return n_blocks;
}

Scheduler::Scheduler(const SchedulerLimits& limits) : limits_(limits) {
  TANDEM_ASSERT(limits.sequences_max > 0 && limits.batch_tokens_max >= limits.sequences_max,
                "every running sequence has room for its token in a step");
}

Result<void> Scheduler::add(const SequenceNeed& need) {
  TANDEM_ASSERT(need.decode_max == 0 || need.paths.empty(), "a sequence is decoded or scored");
  if (need.n_prompt == 0) return fail(ErrorCode::kInvalid, "expected a prompt, found no tokens");

  size_t n_behind = need.decode_max;
  for (const size_t path : need.paths) {
    TANDEM_ASSERT(path > 0, "an empty path is the prompt itself");
    n_behind = std::max(n_behind, path);
  }
  const std::string found = "found a prompt of " + std::to_string(need.n_prompt) + " tokens and " +
                            std::to_string(n_behind) + " for the answer";
  if (need.n_prompt + n_behind > limits_.positions_max) {
    return fail(ErrorCode::kTooLong,
                "expected at most " + std::to_string(limits_.positions_max) + " positions, " + found);
  }
  if (const size_t n_blocks = blocks_needed(need); n_blocks > limits_.n_blocks) {
    return fail(ErrorCode::kTooLong, "expected what fits into " + std::to_string(limits_.n_blocks) +
                                         " KV blocks of " + std::to_string(kBlockTokens) + " tokens, " +
                                         found + " (" + std::to_string(n_blocks) + " blocks)");
  }
  waiting_.push_back(need);
  return {};
}

// First come, first served, even when a later and smaller one would fit: or a large one could wait for ever.
void Scheduler::admit() {
  while (!waiting_.empty() && running_.size() < limits_.sequences_max) {
    const size_t n_blocks = blocks_needed(waiting_.front());
    if (n_blocks_reserved_ + n_blocks > limits_.n_blocks) return;
    n_blocks_reserved_ += n_blocks;
    Running& sequence = running_.emplace_back();
    sequence.need = std::move(waiting_.front());
    sequence.n_blocks = n_blocks;
    waiting_.pop_front();
  }
}

std::vector<Piece> Scheduler::next_step() {
  admit();
  std::vector<Piece> step;
  size_t room = limits_.batch_tokens_max;

  for (Running& sequence : running_) {
    if (!sequence.prompt_done() || sequence.need.decode_max == 0) continue;
    TANDEM_ASSERT(sequence.n_drawn < sequence.need.decode_max, "a sequence at its limit was removed");
    step.push_back({.kind = Piece::Kind::kDecode, .id = sequence.need.id});
    ++sequence.n_drawn;
    --room;
  }

  for (Running& sequence : running_) {
    if (!sequence.prompt_done()) continue;
    while (room > 0 && sequence.path < sequence.need.paths.size()) {
      const size_t n_left = sequence.need.paths[sequence.path] - sequence.path_done;
      const size_t n_tokens = std::min(room, n_left);
      step.push_back({.kind = Piece::Kind::kPath,
                      .id = sequence.need.id,
                      .path = sequence.path,
                      .begin = sequence.path_done,
                      .n_tokens = n_tokens,
                      .last = n_tokens == n_left});
      room -= n_tokens;
      sequence.path_done += n_tokens;
      if (n_tokens == n_left) {
        ++sequence.path;
        sequence.path_done = 0;
      }
    }
  }

  for (Running& sequence : running_) {
    if (room == 0) break;
    if (sequence.prompt_done()) continue;
    const size_t n_left = sequence.need.n_prompt - sequence.n_prompt_done;
    const size_t n_tokens = std::min(room, n_left);
    step.push_back({.kind = Piece::Kind::kPrompt,
                    .id = sequence.need.id,
                    .begin = sequence.n_prompt_done,
                    .n_tokens = n_tokens,
                    .last = n_tokens == n_left});
    room -= n_tokens;
    sequence.n_prompt_done += n_tokens;
    if (sequence.prompt_done() && sequence.need.decode_max > 0) sequence.n_drawn = 1;
  }
  return step;
}

bool Scheduler::remove(SequenceId id) {
  const auto running =
      std::find_if(running_.begin(), running_.end(), [&](const Running& one) { return one.need.id == id; });
  if (running != running_.end()) {
    n_blocks_reserved_ -= running->n_blocks;
    running_.erase(running);
    return true;
  }
  const auto waiting =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const SequenceNeed& one) { return one.id == id; });
  if (waiting == waiting_.end()) return false;
  waiting_.erase(waiting);
  return true;
}

}  // namespace tandem
