// The loop of the inference thread: hear, plan a step, run it, tell what came of it.

#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <variant>

#include "worker/scheduler/decoding.h"
#include "worker/scheduler/inference.h"
#include "worker/scheduler/prefix_tier.h"
#include "worker/scheduler/scheduler.h"

namespace tandem {

// What went through the model since the start.
struct InferenceCounters {
  uint64_t n_steps = 0;
  uint64_t n_sequences = 0;      // finished or cancelled
  uint64_t prompt_tokens = 0;    // of sequences that began
  uint64_t cached_tokens = 0;    // of these, found in the KV cache
  uint64_t loaded_tokens = 0;    // that came from the tier behind it: of the cached ones, and of primed ones
  uint64_t primed_tokens = 0;    // computed for PrimePrefix
  uint64_t computed_tokens = 0;  // all rows of all steps: prompts, paths, decodes, primed ones
  uint64_t completion_tokens = 0;  // drawn
};

// Owns the KV cache and, while it runs, the use of the model. All of it belongs to one thread, the one that
// calls run() or step(); other threads push into `inbox`.
class InferenceLoop {
 public:
  using Tell = std::function<void(FromInference)>;

  // Model, tokenizer, clock, inbox and tier outlive the loop; without a tier, memory is all there is. `tell`
  // is called on the inference thread with every beginning, every delta and every finished sequence; it does
  // not wait.
  InferenceLoop(engine::Model& model, const engine::Tokenizer& tokenizer, engine::KvCache kv,
                const SchedulerLimits& limits, const Clock& clock, Inbox<ToInference>& inbox, Tell tell,
                PrefixTier* tier = nullptr);
  ~InferenceLoop();

  // A prefill and a decode step with made-up tokens, so that memory is touched before the first job.
  void warm_up();

  // Until the inbox is closed; what is unfinished then stays unfinished.
  void run();

  // Hears what is in the inbox, without waiting, and runs one step. False when there was nothing to run.
  bool step();

  // For the inference thread, and for others before it begins and after it has ended.
  const InferenceCounters& counters() const { return counters_; }
  const engine::KvCache& kv() const { return kv_; }

 private:
  struct Sequence;

  void hear(SequenceRequest request);
  void hear(const CancelSequence& cancel);
  void hear(const HurrySequence& hurry) { scheduler_.hurry(hurry.id); }
  void hear(PrimePrefix prefix);
  // True when all of it is known now, without computing.
  bool load_primed(const engine::Tokens& tokens);
  void admit();
  // Lets those that copy their input guess tokens for the next step.
  void guess();
  void run_step(const std::vector<Piece>& pieces);
  engine::BatchRow row_of(const Piece& piece);
  // Takes the piece's logits, if it has some: those from `first` on, of n_logits. True when the sequence is
  // finished.
  bool take(const Piece& piece, Sequence& sequence, size_t first, size_t n_logits);
  bool take_decode(Sequence& sequence, size_t first, size_t n_logits);
  // Makes known what the piece computed, as soon as others can have use of it.
  void publish(const Piece& piece, Sequence& sequence);
  // Offers to the tier what of a sequence that ends is worth it.
  void spill(const Sequence& sequence);
  void end(Sequence& sequence, size_t batch_size);

  engine::Model& model_;
  const engine::Tokenizer& tokenizer_;
  engine::KvCache kv_;
  Scheduler scheduler_;
  const Clock& clock_;
  Inbox<ToInference>& inbox_;
  Tell tell_;
  PrefixTier* tier_;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  engine::Logits logits_;
  std::vector<engine::BatchRow> rows_;
  InferenceCounters counters_;
  SequenceId id_primed_ = kSequenceIdMax;
};

}  // namespace tandem
