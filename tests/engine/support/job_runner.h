// Runs jobs through a model in batches of any kind, as a scheduler would, and keeps every logit.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/engine/model/model.h"

namespace tandem::testing {

// A prompt and what follows it greedily. Prompts of the same `prefix` begin with the same n_prefix tokens.
struct DecodingJob {
  engine::Tokens prompt;
  size_t n_prefix = 0;
  size_t prefix = 0;
  size_t n_decoded = 0;
  engine::Tokens wanted;  // the tokens whose logits are asked for at the end of the prompt
};

// How jobs are put together. None of it may change an answer.
struct Batching {
  std::string name;
  size_t n_jobs_max = 1;      // in one batch; a job that is done makes room for the next one
  size_t n_piece_max = 0;     // prompts come in pieces of 1 to this many tokens; 0: whole
  uint32_t seed = 0;          // of the order of jobs and of the pieces; 0: as they come
  bool share_prefix = false;  // prefixes are computed once and forked
  bool from_cache = false;    // what other prompts began with is taken from the cache, as a worker does it
  bool only_wanted = false;   // logits of the wanted tokens only, at the end of the prompt
  bool all_logits = false;    // logits of every token are asked for, and only the last ones looked at
  bool with_hidden = false;   // through forward_with_hidden()
};

// For each job the logits at the end of its prompt, then those of each decoded token.
using JobLogits = std::vector<std::vector<float>>;

// `n_jobs` of 1 to 200 tokens, most of them short, of a model with `n_vocab` tokens.
std::vector<DecodingJob> random_jobs(uint32_t seed, size_t n_jobs, size_t n_vocab);

JobLogits run_jobs(engine::Model& model, engine::KvType type, const std::vector<DecodingJob>& jobs,
                   const Batching& batching);

}  // namespace tandem::testing
