// The loop of the inference thread: hear, plan a step, run it, tell what came of it.

#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <variant>

#include "worker/scheduler/decoding.h"
#include "worker/scheduler/inference.h"
#include "worker/scheduler/scheduler.h"

namespace tandem {

// Owns the KV cache and, while it runs, the use of the model. All of it belongs to one thread, the one that
// calls run() or step(); other threads push into `inbox`.
class InferenceLoop {
 public:
  using Tell = std::function<void(FromInference)>;

  // Model, tokenizer, clock and inbox outlive the loop. `tell` is called on the inference thread with every
  // delta and every finished sequence; it does not wait.
  InferenceLoop(engine::Model& model, const engine::Tokenizer& tokenizer, engine::KvCache kv,
                const SchedulerLimits& limits, const Clock& clock, Inbox<ToInference>& inbox, Tell tell);
  ~InferenceLoop();

  // A prefill and a decode step with made-up tokens, so that memory is touched before the first job.
  void warm_up();

  // Until the inbox is closed; what is unfinished then stays unfinished.
  void run();

  // Hears what is in the inbox, without waiting, and runs one step. False when there was nothing to run.
  bool step();

 private:
  struct Sequence;

  void hear(ToInference message);
  void begin(SequenceRequest request);
  void cancel(SequenceId id);
  void run_step(const std::vector<Piece>& pieces);
  engine::BatchRow row_of(const Piece& piece);
  // Takes the piece's logits, if it has some. True when the sequence is finished.
  bool take(const Piece& piece, Sequence& sequence, std::span<float> logits);
  void end(Sequence& sequence, size_t batch_size);

  engine::Model& model_;
  const engine::Tokenizer& tokenizer_;
  engine::KvCache kv_;
  Scheduler scheduler_;
  const Clock& clock_;
  Inbox<ToInference>& inbox_;
  Tell tell_;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  engine::Logits logits_;
  std::vector<engine::BatchRow> rows_;
};

}  // namespace tandem
