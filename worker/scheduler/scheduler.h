// What the next step computes: the heart of continuous batching, without the model. Pure: what sequences
// need and what the KV cache has goes in, a plan comes out; no clock, no thread, no tensor.
//
// A step takes up to `batch_tokens_max` tokens, in this order:
//
//   1. one token of every sequence that decodes, and its guesses: nobody who is being answered waits behind a
//      long prompt
//   2. of interactive sequences: paths (a few tokens that finish a label), then pieces of prompts
//   3. of bulk sequences: the same with what is left
//
// Among prompts the oldest has a quarter of the room for sure; the rest goes to those that are done soonest.
// So a short prompt does not wait for a long one, and a long one goes on in every step.
//
// A sequence is admitted when there are KV blocks for all it may ever need beyond what it shares. So what has
// begun can always finish: nothing is thrown out in the middle, and there is no deadlock. The price is that
// blocks lie reserved for answers that turn out short.
//
// A sequence that begins like one whose prompt is being computed is not admitted before that beginning is
// there: it is computed once, also when many come at the same moment.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/kv/kv_cache.h"
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
  std::span<const engine::TokenId> prompt;  // stays where it is until it is computed or the sequence removed
  size_t decode_max = 0;
  std::vector<size_t> paths;
  Urgency urgency = Urgency::kBulk;
};

// KV blocks for all of it, full-grown and alone. Forks share the prompt's full blocks.
size_t blocks_needed(const SequenceNeed& need);

struct Piece {
  enum class Kind : uint8_t { kDecode, kPath, kPrompt };
  Kind kind = Kind::kPrompt;
  SequenceId id = 0;
  size_t path = 0;      // of kPath: which one
  size_t begin = 0;     // of kPath and kPrompt: first token within the path or prompt
  size_t n_tokens = 1;  // of kDecode: the token drawn last, and the guesses behind it
  bool last = true;     // the path or prompt ends with this piece: its logits are wanted
};

class Scheduler {
 public:
  // To wait for another's prefix is worth a step if it saves this many tokens.
  static constexpr size_t kWaitTokensMin = 16;
  // So often at most; then a sequence computes what it needs itself.
  static constexpr size_t kWaitsMax = 8;
  // A bulk sequence that got nothing in this many steps, or was passed so often in line, goes first once.
  static constexpr size_t kPatience = 64;

  explicit Scheduler(const SchedulerLimits& limits);

  // Puts a sequence in line. kTooLong, with the limit, when it could not run even alone.
  Result<void> add(const SequenceNeed& need);

  // A bulk sequence, waiting or running, is interactive from now on: the last in that line. One that is not
  // there was finished a moment ago.
  void hurry(SequenceId id);

  // Admits the sequence that is next, if it can run now. The caller calls KvCache::begin_with() with its
  // prompt before anything else, and then this again until there is none. All that earlier steps computed of
  // prompts has been published to `kv`.
  std::optional<SequenceId> admit(const engine::KvCache& kv);
  // So many tokens of its prompt are there: more than `kv` knew of at admit() when some were loaded since.
  // Before the next admit().
  void begins_with(SequenceId id, size_t n_tokens);

  // How many tokens each sequence that decodes may guess in the next step (prompt_lookup.h), and that this
  // one does, `n_tokens` of them. It draws no more than it was admitted for, guesses included.
  size_t guesses_max() const;
  void guess(SequenceId id, size_t n_tokens);
  // It drew `n_tokens` more than the one of the step, since its guesses were right. Before the next step.
  void drew_more(SequenceId id, size_t n_tokens);

  // The next step; empty when there is nothing to do. The caller runs all of it, and then tells of each
  // sequence that is over with remove().
  std::vector<Piece> next_step();

  // Finished or cancelled, running or still waiting; its blocks are free again. False when not there.
  bool remove(SequenceId id);

  size_t n_waiting() const { return lines_[0].size() + lines_[1].size(); }
  size_t n_running() const { return running_.size(); }
  // Blocks that the running ones may still take; never more than are free.
  size_t n_blocks_promised() const;

 private:
  struct Waiting {
    SequenceNeed need;
    SequenceId other = 0;  // runs and computes the beginning of this one's prompt: waited for until
    size_t until = 0;      // so many tokens of it are done; 0: nobody is waited for
    size_t n_waits = 0;
  };
  struct Running {
    SequenceNeed need;
    size_t n_prompt_done = 0;
    size_t n_drawn = 0;              // tokens drawn by the steps planned so far
    size_t n_guessed = 0;            // tokens that go into the next step behind the one drawn last
    size_t path = 0, path_done = 0;  // the path that is next, and how far it is
    size_t n_left_out = 0;           // steps in a row that it had work and got nothing
    std::vector<size_t> awaited;     // so many tokens of the prompt others wait for
    bool prompt_done() const { return n_prompt_done == need.prompt.size(); }
    bool decodes() const { return prompt_done() && need.decode_max > 0; }
    bool has_work() const { return !prompt_done() || path < need.paths.size(); }
    size_t tokens_to_goal() const;
    size_t blocks_promised() const;
  };
  using Line = std::deque<Waiting>;

  bool still_waits(Waiting& one);
  bool should_wait(Waiting& one, size_t n_known);
  bool fits(const SequenceNeed& need, const engine::KnownPrefix& known, const engine::KvCache& kv,
            bool keeps_reserve) const;
  Running* find_running(SequenceId id);
  void plan_paths(const std::vector<Running*>& sequences, size_t& room, std::vector<Piece>& step);
  void plan_prompts(const std::vector<Running*>& sequences, size_t& room, std::vector<Piece>& step);

  SchedulerLimits limits_;
  std::array<Line, 2> lines_;     // by urgency, in order of arrival
  std::vector<Running> running_;  // in order of admission
  size_t n_bulk_passed_ = 0;      // admissions since one in the line of bulk was waiting
};

}  // namespace tandem
