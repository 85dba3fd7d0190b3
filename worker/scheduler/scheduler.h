// What the next step computes: the heart of continuous batching, without the model. Pure: what sequences
// need goes in, a plan comes out; no clock, no thread, no tensor.
//
// A step takes, in this order and up to `batch_tokens_max` tokens:
//
//   1. one token of every sequence that decodes: nobody who is being answered waits behind a long prompt
//   2. paths of scored sequences: a few tokens that finish a label
//   3. pieces of prompts, first come first served, as long as there is room (chunked prefill)
//
// Sequences are admitted in order of arrival, and only when the KV blocks for all they may ever need are
// free. So what has begun can always finish: nothing is evicted in the middle, and there is no deadlock. The
// price is that blocks lie reserved for answers that turn out short.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "shared/base/result.h"
#include "worker/scheduler/inference.h"

namespace tandem {

struct SchedulerLimits {
  size_t n_blocks = 0;            // KV blocks there are
  size_t sequences_max = 1;       // running at a time; at most batch_tokens_max
  size_t batch_tokens_max = 512;  // of one step
  size_t positions_max = 0;       // of the model: prompt and answer of one sequence
};

// What a sequence will take. Either `decode_max` (tokens drawn at most) or a scoring, whose `paths` are the
// lengths of the pieces that go behind the prompt, each in its own fork; none when the prompt is enough.
struct SequenceNeed {
  SequenceId id = 0;
  size_t n_prompt = 0;
  size_t decode_max = 0;
  std::vector<size_t> paths;
};

// KV blocks for all of it, full-grown. Forks share the prompt's full blocks.
size_t blocks_needed(const SequenceNeed& need);

struct Piece {
  enum class Kind : uint8_t { kDecode, kPath, kPrompt };
  Kind kind = Kind::kPrompt;
  SequenceId id = 0;
  size_t path = 0;   // of kPath: which one
  size_t begin = 0;  // of kPath and kPrompt: first token within the path or prompt
  size_t n_tokens = 1;
  bool last = true;  // the path or prompt ends with this piece: its logits are wanted
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerLimits& limits);

  // Puts a sequence in line. kTooLong, with the limit, when it could not run even alone.
  Result<void> add(const SequenceNeed& need);

  // The next step; empty when there is nothing to do. The caller runs all of it, and then tells of each
  // sequence that is over with remove().
  std::vector<Piece> next_step();

  // Finished or cancelled, running or still waiting; its blocks are free again. False when not there.
  bool remove(SequenceId id);

  size_t n_waiting() const { return waiting_.size(); }
  size_t n_running() const { return running_.size(); }
  size_t n_blocks_reserved() const { return n_blocks_reserved_; }

 private:
  struct Running {
    SequenceNeed need;
    size_t n_blocks = 0;
    size_t n_prompt_done = 0;
    size_t n_drawn = 0;              // tokens drawn by the steps planned so far
    size_t path = 0, path_done = 0;  // the path that is next, and how far it is
    bool prompt_done() const { return n_prompt_done == need.n_prompt; }
  };

  void admit();

  SchedulerLimits limits_;
  std::deque<SequenceNeed> waiting_;
  std::vector<Running> running_;  // in order of admission
  size_t n_blocks_reserved_ = 0;
};

}  // namespace tandem
