// The inference thread: takes sequences in, gives deltas and finished sequences out. It knows tokens and
// stop strings, but nothing of jobs, tasks or sockets.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/inbox.h"
#include "shared/base/result.h"
#include "shared/base/urgency.h"
#include "worker/engine/constraint/constraint.h"
#include "worker/engine/model/model.h"
#include "worker/engine/sampler/sampler.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace tandem {

// Logits after the prompt followed by each of `paths` (an empty path, one at most: right after the prompt).
// Restricted to what is asked for: values for `wanted[i]` tokens after path i.
struct ScoreWork {
  std::vector<engine::Tokens> paths;
  std::vector<engine::Tokens> wanted;
};
struct DecodeWork {
  engine::SamplerSettings sampler;
  uint32_t tokens_max = 0;
  std::vector<std::string> stop;
  bool stream = false;  // send deltas
  // What the answer is held to; nothing: anything. An answer that ends for another reason than "stop" may be
  // a beginning only.
  std::shared_ptr<const engine::Constraint> constraint{};
  bool speculate = false;  // prompt_lookup.h
};

using SequenceId = uint64_t;  // the frontend's number; below kSequenceIdMax
inline constexpr SequenceId kSequenceIdMax = SequenceId{1} << 63;

// What of a sequence's keys and values may outlive this process (prefix_spill.h).
enum class KeepKv : uint8_t {
  kNothing,  // the caller wants no trace of it
  kShared,   // what many others begin with, too
  kAll,      // of a conversation: the next turn will begin with all of this one
};

struct SequenceRequest {
  SequenceId id = 0;
  engine::Tokens prompt;
  std::variant<ScoreWork, DecodeWork> work;
  TimePoint arrived;
  Urgency urgency = Urgency::kBulk;  // an interactive sequence goes before bulk in every step
  KeepKv keep = KeepKv::kShared;
};
struct CancelSequence {
  SequenceId id = 0;
};
// Somebody waits for it now: from here on it is interactive.
struct HurrySequence {
  SequenceId id = 0;
};
// Prompts will begin so: computed once, when there is nothing better to do, and kept as long as there is
// room. Nothing is told of it. One that cannot be computed (too long, unknown tokens) is forgotten.
struct PrimePrefix {
  engine::Tokens tokens;
};
using ToInference = std::variant<SequenceRequest, CancelSequence, HurrySequence, PrimePrefix>;

// The model is working on these now for the first time; told once of each, before anything else of it.
struct SequencesBegan {
  std::vector<SequenceId> ids;
};
struct SequenceDelta {
  SequenceId id = 0;
  std::string text;
};
struct SequenceDone {
  SequenceId id = 0;
  std::vector<std::vector<float>> scores;  // of ScoreWork: [path][wanted token], raw logits
  std::string text;                        // of DecodeWork
  std::string finish_reason;               // "stop", "length", "repetition", "cancelled"
  uint32_t prompt_tokens = 0;
  uint32_t cached_tokens = 0;    // of the prompt: keys and values were there
  uint32_t computed_tokens = 0;  // through the model: the rest of the prompt, paths, completion
  uint32_t completion_tokens = 0;
  uint32_t batch_size = 0;  // sequences in the step that finished it
  Duration queued{}, prefill{}, decode{};
  Error error;  // text not empty: it could not run (too long for the KV cache, ...)
};
using FromInference = std::variant<SequencesBegan, SequenceDelta, SequenceDone>;

}  // namespace tandem
