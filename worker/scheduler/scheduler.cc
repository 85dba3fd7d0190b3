#include "worker/scheduler/scheduler.h"

#include <algorithm>
#include <string>
#include <utility>

#include "shared/base/assert.h"
#include "worker/scheduler/prompt_lookup.h"

namespace tandem {

using engine::kBlockTokens;
using engine::TokenId;

namespace {

size_t blocks_of(size_t n_tokens) {
  return (n_tokens + kBlockTokens - 1) / kBlockTokens;
}

// A fork's own blocks for a path of `n_path` tokens: the prompt's full ones are shared.
size_t blocks_of_fork(size_t n_prompt, size_t n_path) {
  return blocks_of(n_prompt + n_path) - n_prompt / kBlockTokens;
}

size_t n_alike(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

// Places that bulk leaves to interactive sequences: one in sixteen, with blocks for a text of usual length.
size_t places_reserved(const SchedulerLimits& limits) {
  return limits.sequences_max / 16;
}
constexpr size_t kReservedBlocksPerPlace = 8;

size_t index_of(Urgency urgency) {
  return urgency == Urgency::kInteractive ? 0 : 1;
}

}  // namespace

size_t blocks_needed(const SequenceNeed& need) {
  size_t n_blocks = blocks_of(need.prompt.size() + need.decode_max);
  for (const size_t path : need.paths) n_blocks += blocks_of_fork(need.prompt.size(), path);
  return n_blocks;
}

// What it holds by now follows from how far it is: the blocks of its tokens, and of the path that is begun.
size_t Scheduler::Running::blocks_promised() const {
  const size_t n_prompt = need.prompt.size();
  const size_t n_tokens = n_drawn > 0 ? n_prompt + n_drawn - 1 : n_prompt_done;  // the last drawn is not in
  size_t n_blocks = blocks_of(n_prompt + need.decode_max) - blocks_of(n_tokens);
  for (size_t i = path; i < need.paths.size(); ++i) {
    n_blocks += blocks_of_fork(n_prompt, need.paths[i]);
    if (i == path && path_done > 0) n_blocks -= blocks_of_fork(n_prompt, path_done);
  }
  return n_blocks;
}

// Until its prompt is done, or as much of it as another waits for.
size_t Scheduler::Running::tokens_to_goal() const {
  size_t goal = need.prompt.size();
  for (const size_t n_tokens : awaited) {
    if (n_tokens > n_prompt_done) goal = std::min(goal, n_tokens);
  }
  return goal - n_prompt_done;
}

Scheduler::Scheduler(const SchedulerLimits& limits) : limits_(limits) {
  TANDEM_ASSERT(limits.sequences_max > 0 && limits.batch_tokens_max >= limits.sequences_max,
                "every running sequence has room for its token in a step");
}

Result<void> Scheduler::add(const SequenceNeed& need) {
  TANDEM_ASSERT(need.decode_max == 0 || need.paths.empty(), "a sequence is decoded or scored");
  const size_t n_prompt = need.prompt.size();
  if (n_prompt == 0) return fail(ErrorCode::kInvalid, "expected a prompt, found no tokens");

  size_t n_behind = need.decode_max;
  for (const size_t path : need.paths) {
    TANDEM_ASSERT(path > 0, "an empty path is the prompt itself");
    n_behind = std::max(n_behind, path);
  }
  const std::string found = "found a prompt of " + std::to_string(n_prompt) + " tokens and " +
                            std::to_string(n_behind) + " for the answer";
  if (n_prompt + n_behind > limits_.positions_max) {
    return fail(ErrorCode::kTooLong,
                "expected at most " + std::to_string(limits_.positions_max) + " positions, " + found);
  }
  if (const size_t n_blocks = blocks_needed(need); n_blocks > limits_.n_blocks) {
    return fail(ErrorCode::kTooLong, "expected what fits into " + std::to_string(limits_.n_blocks) +
                                         " KV blocks of " + std::to_string(kBlockTokens) + " tokens, " +
                                         found + " (" + std::to_string(n_blocks) + " blocks)");
  }
  lines_[index_of(need.urgency)].push_back({.need = need, .other = 0, .until = 0, .n_waits = 0});
  return {};
}

void Scheduler::hurry(SequenceId id) {
  if (Running* running = find_running(id)) {
    running->need.urgency = Urgency::kInteractive;
    return;
  }
  Line& bulk = lines_[index_of(Urgency::kBulk)];
  const auto found =
      std::find_if(bulk.begin(), bulk.end(), [&](const Waiting& one) { return one.need.id == id; });
  if (found == bulk.end()) return;
  Waiting hurried = std::move(*found);
  bulk.erase(found);
  hurried.need.urgency = Urgency::kInteractive;
  hurried.until = 0;  // it may have waited for the prompt of a bulk one
  lines_[index_of(Urgency::kInteractive)].push_back(std::move(hurried));
}

size_t Scheduler::n_blocks_promised() const {
  size_t n_blocks = 0;
  for (const Running& one : running_) n_blocks += one.blocks_promised();
  return n_blocks;
}

Scheduler::Running* Scheduler::find_running(SequenceId id) {
  const auto found =
      std::find_if(running_.begin(), running_.end(), [&](const Running& one) { return one.need.id == id; });
  return found == running_.end() ? nullptr : &*found;
}

// First come, first served in each line, even when a later and smaller one would fit: or a large one could
// wait for ever. Only who waits for another's prefix is passed.
std::optional<SequenceId> Scheduler::admit(const engine::KvCache& kv) {
  if (running_.size() >= limits_.sequences_max) return std::nullopt;
  const bool bulk_first = n_bulk_passed_ >= kPatience;
  for (const size_t i : {size_t{bulk_first}, size_t{!bulk_first}}) {
    const bool is_bulk = i == index_of(Urgency::kBulk);
    Line& line = lines_[i];
    for (auto one = line.begin(); one != line.end(); ++one) {
      if (still_waits(*one)) continue;
      const engine::KnownPrefix known = kv.known_prefix(one->need.prompt);
      if (should_wait(*one, known.n_tokens)) continue;
      if (!fits(one->need, known, kv, is_bulk && !bulk_first)) return std::nullopt;

      Running& sequence = running_.emplace_back();
      sequence.need = std::move(one->need);
      sequence.n_prompt_done = known.n_tokens;
      line.erase(one);
      n_bulk_passed_ = is_bulk || lines_[index_of(Urgency::kBulk)].empty() ? 0 : n_bulk_passed_ + 1;
      return sequence.need.id;
    }
  }
  return std::nullopt;
}

void Scheduler::begins_with(SequenceId id, size_t n_tokens) {
  Running* sequence = find_running(id);
  TANDEM_ASSERT(sequence != nullptr && n_tokens < sequence->need.prompt.size(),
                "it was admitted, and a token is left to compute");
  sequence->n_prompt_done = n_tokens;
}

// `keeps_reserve`: leaves room for interactive ones, but never so much that nothing runs.
bool Scheduler::fits(const SequenceNeed& need, const engine::KnownPrefix& known, const engine::KvCache& kv,
                     bool keeps_reserve) const {
  const size_t n_places = keeps_reserve && !running_.empty() ? places_reserved(limits_) : 0;
  if (running_.size() + n_places >= limits_.sequences_max) return false;
  // Sharing a block that nobody held makes it one that is not free any more.
  const size_t n_blocks = blocks_needed(need) - known.n_blocks_shared + known.n_blocks_unheld;
  return n_blocks + n_blocks_promised() + n_places * kReservedBlocksPerPlace <= kv.n_blocks_free();
}

bool Scheduler::still_waits(Waiting& one) {
  if (one.until == 0) return false;
  const Running* other = find_running(one.other);
  if (other != nullptr && other->n_prompt_done < one.until) return true;
  one.until = 0;
  return false;
}

// Whether somebody who is running will soon have computed much more of the prompt than is known now. Who is
// interactive does not wait for bulk.
bool Scheduler::should_wait(Waiting& one, size_t n_known) {
  if (one.n_waits >= kWaitsMax) return false;
  const std::span<const TokenId> wanted = one.need.prompt.first(one.need.prompt.size() - 1);
  Running* best = nullptr;
  size_t n_best = n_known + kWaitTokensMin - 1;
  for (Running& other : running_) {
    if (other.prompt_done() || index_of(other.need.urgency) > index_of(one.need.urgency)) continue;
    const size_t n_tokens = n_alike(wanted, other.need.prompt);
    if (n_tokens <= n_best || n_tokens <= other.n_prompt_done) continue;
    best = &other;
    n_best = n_tokens;
  }
  if (best == nullptr) return false;
  one.other = best->need.id;
  one.until = n_best;
  ++one.n_waits;
  best->awaited.push_back(n_best);
  return true;
}

size_t Scheduler::guesses_max() const {
  const auto n_decoding = static_cast<size_t>(
      std::count_if(running_.begin(), running_.end(), [](const Running& one) { return one.decodes(); }));
  if (n_decoding == 0) return 0;
  return std::min(tandem::guesses_max(n_decoding), (limits_.batch_tokens_max - n_decoding) / n_decoding);
}

void Scheduler::guess(SequenceId id, size_t n_tokens) {
  Running* sequence = find_running(id);
  TANDEM_ASSERT(sequence != nullptr && sequence->decodes(), "only who decodes guesses");
  TANDEM_ASSERT(sequence->n_drawn + n_tokens < sequence->need.decode_max,
                "guesses stay within the answer's room");
  sequence->n_guessed = n_tokens;
}

void Scheduler::drew_more(SequenceId id, size_t n_tokens) {
  Running* sequence = find_running(id);
  TANDEM_ASSERT(sequence != nullptr, "it runs until it is removed");
  sequence->n_drawn += n_tokens;
}

std::vector<Piece> Scheduler::next_step() {
  std::vector<Piece> step;
  size_t room = limits_.batch_tokens_max;

  std::array<std::vector<Running*>, 2> with_work;
  for (Running& sequence : running_) {
    if (sequence.decodes()) {
      TANDEM_ASSERT(sequence.n_drawn < sequence.need.decode_max, "a sequence at its limit was removed");
      const size_t n_tokens = 1 + std::exchange(sequence.n_guessed, 0);
      TANDEM_ASSERT(n_tokens <= room, "guesses leave room for the others' tokens");
      step.push_back({.kind = Piece::Kind::kDecode, .id = sequence.need.id, .n_tokens = n_tokens});
      ++sequence.n_drawn;
      room -= n_tokens;
    } else if (sequence.has_work()) {
      const bool impatient = sequence.n_left_out >= kPatience;
      with_work[impatient ? 0 : index_of(sequence.need.urgency)].push_back(&sequence);
      ++sequence.n_left_out;  // unless it gets something now
    }
  }
  for (const std::vector<Running*>& sequences : with_work) {
    plan_paths(sequences, room, step);
    plan_prompts(sequences, room, step);
  }
  return step;
}

void Scheduler::plan_paths(const std::vector<Running*>& sequences, size_t& room, std::vector<Piece>& step) {
  for (Running* sequence : sequences) {
    if (!sequence->prompt_done()) continue;
    while (room > 0 && sequence->path < sequence->need.paths.size()) {
      const size_t n_left = sequence->need.paths[sequence->path] - sequence->path_done;
      const size_t n_tokens = std::min(room, n_left);
      step.push_back({.kind = Piece::Kind::kPath,
                      .id = sequence->need.id,
                      .path = sequence->path,
                      .begin = sequence->path_done,
                      .n_tokens = n_tokens,
                      .last = n_tokens == n_left});
      room -= n_tokens;
      sequence->n_left_out = 0;
      sequence->path_done += n_tokens;
      if (n_tokens == n_left) {
        ++sequence->path;
        sequence->path_done = 0;
      }
    }
  }
}

void Scheduler::plan_prompts(const std::vector<Running*>& sequences, size_t& room, std::vector<Piece>& step) {
  struct Share {
    Running* sequence;
    size_t n_left, goal, n_tokens;
  };
  std::vector<Share> shares;  // in order of admission
  for (Running* sequence : sequences) {
    if (sequence->prompt_done()) continue;
    const size_t n_left = sequence->need.prompt.size() - sequence->n_prompt_done;
    shares.push_back({sequence, n_left, sequence->tokens_to_goal(), 0});
  }
  if (shares.empty() || room == 0) return;

  const auto give = [&](Share& share, size_t n_tokens) {
    const size_t n_more = std::min(room, n_tokens > share.n_tokens ? n_tokens - share.n_tokens : 0);
    share.n_tokens += n_more;
    room -= n_more;
  };
  give(shares.front(), std::min(shares.front().n_left, (room + 3) / 4));
  std::vector<Share*> soonest;
  for (Share& share : shares) soonest.push_back(&share);
  std::stable_sort(soonest.begin(), soonest.end(),
                   [](const Share* a, const Share* b) { return a->goal < b->goal; });
  for (Share* share : soonest) give(*share, share->goal);
  for (Share& share : shares) give(share, share.n_left);

  for (const Share& share : shares) {
    if (share.n_tokens == 0) continue;
    Running& sequence = *share.sequence;
    step.push_back({.kind = Piece::Kind::kPrompt,
                    .id = sequence.need.id,
                    .begin = sequence.n_prompt_done,
                    .n_tokens = share.n_tokens,
                    .last = share.n_tokens == share.n_left});
    sequence.n_left_out = 0;
    sequence.n_prompt_done += share.n_tokens;
    if (sequence.prompt_done() && sequence.need.decode_max > 0) sequence.n_drawn = 1;
  }
}

bool Scheduler::remove(SequenceId id) {
  if (Running* running = find_running(id); running != nullptr) {
    running_.erase(running_.begin() + (running - running_.data()));
    return true;
  }
  for (Line& line : lines_) {
    const auto waiting =
        std::find_if(line.begin(), line.end(), [&](const Waiting& one) { return one.need.id == id; });
    if (waiting == line.end()) continue;
    line.erase(waiting);
    return true;
  }
  return false;
}

}  // namespace tandem
