#include "worker/scheduler/inference_loop.h"

#include <algorithm>
#include <optional>
#include <span>
#include <unordered_set>

#include "shared/base/assert.h"
#include "worker/scheduler/prefix_spill.h"
#include "worker/scheduler/request_check.h"

namespace tandem {

// A sequence from its arrival to its end, waiting or running.
struct InferenceLoop::Sequence {
  SequenceRequest request;  // its prompt moved to `tokens`
  engine::Tokens tokens;    // the prompt and what was drawn
  size_t n_prompt = 0, n_cached = 0;
  bool primes = false;  // of PrimePrefix: nobody waits for it
  engine::KvSequence kv;

  std::optional<Decoding> decoding;        // of DecodeWork
  engine::Tokens row;                      // of DecodeWork, in a step: the token drawn last, and its guesses
  std::vector<size_t> path_of_fork;        // of ScoreWork: the scheduler's path i is `paths[path_of_fork[i]]`
  std::vector<engine::KvSequence> forks;   // [i]
  std::optional<size_t> path_of_prompt;    // of ScoreWork: the path that is empty, if one is
  std::vector<std::vector<float>> scores;  // [path]
  size_t n_scores = 0;
  std::string finish_reason;

  uint32_t n_computed = 0;
  TimePoint began{}, prompt_done{};

  const ScoreWork* score() const { return std::get_if<ScoreWork>(&request.work); }
};

InferenceLoop::InferenceLoop(engine::Model& model, const engine::Tokenizer& tokenizer, engine::KvCache kv,
                             const SchedulerLimits& limits, const Clock& clock, Inbox<ToInference>& inbox,
                             Tell tell, PrefixTier* tier)
    : model_(model),
      tokenizer_(tokenizer),
      kv_(std::move(kv)),
      scheduler_(limits),
      clock_(clock),
      inbox_(inbox),
      tell_(std::move(tell)),
      tier_(tier) {
  TANDEM_ASSERT(limits.n_blocks <= kv_.n_blocks(), "the scheduler plans with blocks that are there");
}

InferenceLoop::~InferenceLoop() = default;

void InferenceLoop::warm_up() {
  engine::KvSequence kv = kv_.make_sequence();
  const engine::Tokens prompt(8, 0);
  const engine::Tokens next(1, 0);
  for (const engine::Tokens* tokens : {&prompt, &next}) {
    const auto reserved = kv_.reserve(kv, tokens->size());
    TANDEM_ASSERT(reserved, "the cache is empty before the first job");
    const engine::BatchRow row{.kv = &kv, .tokens = *tokens, .n_logits = 1};
    model_.forward({&row, 1}, kv_, logits_);
  }
}

void InferenceLoop::run() {
  while (!inbox_.closed()) {
    if (step()) continue;
    for (ToInference& message : inbox_.wait()) {
      std::visit([this](auto& one) { hear(std::move(one)); }, message);
    }
  }
}

bool InferenceLoop::step() {
  for (ToInference& message : inbox_.take()) {
    std::visit([this](auto& one) { hear(std::move(one)); }, message);
  }
  admit();
  guess();
  const std::vector<Piece> pieces = scheduler_.next_step();
  if (pieces.empty()) return false;
  run_step(pieces);
  return true;
}

void InferenceLoop::admit() {
  while (const std::optional<SequenceId> id = scheduler_.admit(kv_)) {
    Sequence& sequence = *sequences_.at(*id);
    const auto prompt = std::span<const engine::TokenId>(sequence.tokens).first(sequence.n_prompt);
    // What is loaded lies in blocks that count as free, so the scheduler's sums are as before.
    if (tier_ != nullptr) counters_.loaded_tokens += load_prefix(kv_, *tier_, prompt).n_loaded;
    sequence.kv = kv_.begin_with(prompt);
    sequence.n_cached = sequence.kv.n_tokens();
    scheduler_.begins_with(*id, sequence.n_cached);
    if (tier_ != nullptr && sequence.request.keep != KeepKv::kNothing) {
      offer_reused(kv_, *tier_, sequence.kv, prompt);
    }
    counters_.prompt_tokens += sequence.n_prompt;
    counters_.cached_tokens += sequence.n_cached;
  }
}

void InferenceLoop::guess() {
  const size_t n_max = scheduler_.guesses_max();
  if (n_max == 0) return;
  for (auto& [id, sequence] : sequences_) {
    if (!sequence->decoding || sequence->decoding->n_drawn() == 0) continue;
    const engine::Tokens guessed = sequence->decoding->guess(sequence->tokens, n_max);
    sequence->row.assign(1, sequence->tokens.back());
    sequence->row.insert(sequence->row.end(), guessed.begin(), guessed.end());
    scheduler_.guess(id, guessed.size());
  }
}

void InferenceLoop::hear(SequenceRequest request) {
  const SequenceId id = request.id;
  const auto refuse = [&, n_prompt = request.prompt.size()](Error error) {
    SequenceDone done;
    done.id = id;
    done.prompt_tokens = static_cast<uint32_t>(n_prompt);
    done.error = std::move(error);
    tell_(std::move(done));
  };
  if (auto mistake = mistake_in(request, model_.config().n_vocab)) return refuse(std::move(*mistake));

  auto sequence = std::make_unique<Sequence>();
  sequence->n_prompt = request.prompt.size();
  sequence->tokens = std::move(request.prompt);
  SequenceNeed need;
  need.id = id;
  need.prompt = sequence->tokens;
  need.urgency = request.urgency;
  if (const auto* decode = std::get_if<DecodeWork>(&request.work)) {
    need.decode_max = decode->tokens_max;
    sequence->decoding.emplace(*decode, tokenizer_, model_.config().end_tokens);
  } else {
    const auto& score = std::get<ScoreWork>(request.work);
    for (size_t path = 0; path < score.paths.size(); ++path) {
      if (score.paths[path].empty()) {
        TANDEM_ASSERT(!sequence->path_of_prompt, "a path is asked for once");
        sequence->path_of_prompt = path;
        continue;
      }
      sequence->path_of_fork.push_back(path);
      need.paths.push_back(score.paths[path].size());
    }
    sequence->scores.resize(score.paths.size());
  }
  if (auto added = scheduler_.add(need); !added) return refuse(std::move(added).error());

  sequence->request = std::move(request);
  const bool is_new = sequences_.emplace(id, std::move(sequence)).second;
  TANDEM_ASSERT(is_new && id < kSequenceIdMax, "the frontend numbers sequences once");
}

void InferenceLoop::hear(PrimePrefix prefix) {
  if (!all_known(prefix.tokens, model_.config().n_vocab) || load_primed(prefix.tokens)) return;
  auto sequence = std::make_unique<Sequence>();
  sequence->primes = true;
  sequence->n_prompt = prefix.tokens.size();
  sequence->tokens = std::move(prefix.tokens);
  sequence->request.id = id_primed_++;
  SequenceNeed need;
  need.id = sequence->request.id;
  need.prompt = sequence->tokens;
  if (scheduler_.add(need)) sequences_.emplace(need.id, std::move(sequence));
}

bool InferenceLoop::load_primed(const engine::Tokens& tokens) {
  if (tier_ == nullptr) return false;
  LoadedPrefix prefix = load_prefix(kv_, *tier_, tokens);
  counters_.loaded_tokens += prefix.n_loaded;
  if (prefix.held.n_tokens() < tokens.size()) return false;
  kv_.publish(prefix.held, tokens, true);
  offer_reused(kv_, *tier_, prefix.held, tokens);
  return true;
}

void InferenceLoop::hear(const CancelSequence& cancel) {
  const auto found = sequences_.find(cancel.id);
  if (found == sequences_.end()) return;  // it was finished just before
  found->second->finish_reason = "cancelled";
  end(*found->second, 0);
}

void InferenceLoop::run_step(const std::vector<Piece>& pieces) {
  rows_.clear();
  std::unordered_set<SequenceId> in_step;
  const TimePoint began = clock_.now();
  SequencesBegan news;
  for (const Piece& piece : pieces) {
    Sequence& sequence = *sequences_.at(piece.id);
    if (sequence.n_computed == 0) {
      sequence.began = began;
      if (!sequence.primes) news.ids.push_back(piece.id);
    }
    rows_.push_back(row_of(piece));
    sequence.n_computed += static_cast<uint32_t>(piece.n_tokens);
    counters_.computed_tokens += piece.n_tokens;
    if (sequence.primes) counters_.primed_tokens += piece.n_tokens;
    in_step.insert(piece.id);
  }
  ++counters_.n_steps;
  if (!news.ids.empty()) tell_(std::move(news));

  model_.forward(rows_, kv_, logits_);

  size_t next_logits = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    Sequence& sequence = *sequences_.at(pieces[i].id);
    const size_t first_logits = next_logits;
    next_logits += rows_[i].n_logits;
    if (pieces[i].kind == Piece::Kind::kPrompt && pieces[i].last) sequence.prompt_done = clock_.now();
    const bool decodes = pieces[i].kind == Piece::Kind::kDecode;
    if (!decodes) publish(pieces[i], sequence);
    const bool finished = take(pieces[i], sequence, first_logits, rows_[i].n_logits);
    if (decodes) publish(pieces[i], sequence);  // without the guesses that were wrong
    if (finished || (sequence.primes && pieces[i].last)) end(sequence, in_step.size());
  }
}

engine::BatchRow InferenceLoop::row_of(const Piece& piece) {
  Sequence& sequence = *sequences_.at(piece.id);
  engine::BatchRow row;
  switch (piece.kind) {
    case Piece::Kind::kDecode:
      if (piece.n_tokens == 1) sequence.row.assign(1, sequence.tokens.back());
      row = {&sequence.kv, sequence.row, piece.n_tokens};
      break;
    case Piece::Kind::kPrompt: {
      const bool wanted = piece.last && (sequence.decoding || sequence.path_of_prompt);
      row = {&sequence.kv, {sequence.tokens.data() + piece.begin, piece.n_tokens}, wanted ? 1u : 0u};
      if (sequence.path_of_prompt) row.wanted = sequence.score()->wanted[*sequence.path_of_prompt];
      break;
    }
    case Piece::Kind::kPath: {
      if (piece.begin == 0) {
        auto fork = kv_.fork(sequence.kv, sequence.n_prompt);
        TANDEM_ASSERT(fork, "blocks were reserved at admission");
        // The paths come in order, but their rows point here: the place must not move.
        if (sequence.forks.empty()) sequence.forks.resize(sequence.path_of_fork.size());
        sequence.forks[piece.path] = std::move(*fork);
      }
      const size_t index = sequence.path_of_fork[piece.path];
      const engine::Tokens& path = sequence.score()->paths[index];
      row = {&sequence.forks[piece.path], {path.data() + piece.begin, piece.n_tokens}, piece.last ? 1u : 0u};
      row.wanted = sequence.score()->wanted[index];
      break;
    }
  }
  const auto reserved = kv_.reserve(*row.kv, row.tokens.size());
  TANDEM_ASSERT(reserved, "blocks were reserved at admission");
  return row;
}

// The token that is drawn from each of the logits, up to the first that was not guessed: what the model made
// of the guesses behind it is forgotten.
bool InferenceLoop::take_decode(Sequence& sequence, size_t first, size_t n_logits) {
  std::string text;
  size_t n_drawn = 0;
  bool goes_on = true;
  while (goes_on && n_drawn < n_logits) {
    Decoding::Step step = sequence.decoding->next(logits_[first + n_drawn], sequence.tokens);
    ++n_drawn;
    text += step.text;
    sequence.finish_reason = std::move(step.finish_reason);
    goes_on = step.guessed && sequence.finish_reason.empty();
  }
  if (n_drawn > 1) scheduler_.drew_more(sequence.request.id, n_drawn - 1);
  if (sequence.kv.n_tokens() >= sequence.tokens.size()) kv_.truncate(sequence.kv, sequence.tokens.size() - 1);
  if (sequence.decoding->stream() && !text.empty()) {
    tell_(SequenceDelta{sequence.request.id, std::move(text)});
  }
  return !sequence.finish_reason.empty();
}

bool InferenceLoop::take(const Piece& piece, Sequence& sequence, size_t first, size_t n_logits) {
  if (n_logits == 0) return false;
  if (sequence.decoding) return take_decode(sequence, first, n_logits);

  const std::span<float> logits = logits_[first];
  const ScoreWork& score = *sequence.score();
  const size_t path =
      piece.kind == Piece::Kind::kPath ? sequence.path_of_fork[piece.path] : *sequence.path_of_prompt;
  // Where nothing is wanted, there are the logits of all tokens, of which none is taken.
  sequence.scores[path].assign(logits.begin(),
                               logits.begin() + static_cast<ptrdiff_t>(score.wanted[path].size()));
  ++sequence.n_scores;
  if (piece.kind == Piece::Kind::kPath) sequence.forks[piece.path] = {};  // its blocks are free again
  return sequence.n_scores == score.paths.size();
}

// Of a decode only full blocks, and at its end the rest: a text that goes on begins with this one.
void InferenceLoop::publish(const Piece& piece, Sequence& sequence) {
  if (piece.kind == Piece::Kind::kPath) return;
  size_t n_tokens = sequence.kv.n_tokens();
  if (piece.kind == Piece::Kind::kDecode) {
    const size_t n_behind = n_tokens % engine::kBlockTokens;
    if (n_behind >= piece.n_tokens) return;  // no block became full in this step
    n_tokens -= n_behind;
  }
  kv_.publish(sequence.kv, std::span(sequence.tokens).first(n_tokens), sequence.primes);
}

void InferenceLoop::spill(const Sequence& sequence) {
  if (tier_ == nullptr || !(sequence.primes || sequence.request.keep == KeepKv::kAll)) return;
  offer_all(kv_, *tier_, sequence.kv, std::span(sequence.tokens).first(sequence.kv.n_tokens()));
}

void InferenceLoop::end(Sequence& sequence, size_t batch_size) {
  const size_t n_known = sequence.kv.n_tokens();
  if (n_known > 0) kv_.publish(sequence.kv, std::span(sequence.tokens).first(n_known));
  spill(sequence);
  ++counters_.n_sequences;
  if (sequence.primes) {
    scheduler_.remove(sequence.request.id);
    sequences_.erase(sequence.request.id);
    return;
  }
  const TimePoint now = clock_.now();
  SequenceDone done;
  done.id = sequence.request.id;
  done.scores = std::move(sequence.scores);
  done.finish_reason = std::move(sequence.finish_reason);
  done.prompt_tokens = static_cast<uint32_t>(sequence.n_prompt);
  done.cached_tokens = static_cast<uint32_t>(sequence.n_cached);
  done.computed_tokens = sequence.n_computed;
  if (sequence.decoding) {
    done.text = sequence.decoding->text();
    done.completion_tokens = static_cast<uint32_t>(sequence.decoding->n_drawn());
    counters_.completion_tokens += done.completion_tokens;
  }
  done.batch_size = static_cast<uint32_t>(batch_size);
  if (sequence.n_computed == 0) {  // cancelled in line
    done.queued = now - sequence.request.arrived;
  } else {
    const TimePoint prompt_done = sequence.prompt_done == TimePoint{} ? now : sequence.prompt_done;
    done.queued = sequence.began - sequence.request.arrived;
    done.prefill = prompt_done - sequence.began;
    done.decode = now - prompt_done;
  }
  scheduler_.remove(done.id);
  sequences_.erase(done.id);
  tell_(std::move(done));
}

}  // namespace tandem
