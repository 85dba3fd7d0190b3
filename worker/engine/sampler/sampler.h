// From logits to the next token: penalties, cuts and the draw, in the order and with the meaning of the
// reference implementation (transformers' generate()).

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/engine/tokens.h"

namespace tandem::engine {

struct SamplerSettings {
  double temperature = 0;         // 0: greedy
  uint32_t top_k = 0;             // 0: off
  double top_p = 1;               // 1: off
  double min_p = 0;               // 0: off
  double repetition_penalty = 1;  // 1: off
  uint32_t no_repeat_ngram = 0;   // 0: off
  uint64_t seed = 0;
};

// A token that may be drawn and its probability after all cuts.
struct Candidate {
  TokenId id = 0;
  float probability = 0;
};

// One per sequence, one thread. The same settings, logits and history give the same tokens on every machine:
// the generator is our own (PCG32 seeded by `seed`), and draw number n depends on nothing but n.
class Sampler {
 public:
  explicit Sampler(const SamplerSettings& settings);

  // The next token. `logits` [n_vocab] is overwritten; `history` is the prompt and what was drawn so far.
  TokenId next(std::span<float> logits, std::span<const TokenId> history);

  // What next() draws from, most likely first: order of the reference is repetition_penalty,
  // no_repeat_ngram, temperature, top_k, top_p, min_p, softmax. For greedy: one candidate.
  std::vector<Candidate> candidates(std::span<float> logits, std::span<const TokenId> history) const;

 private:
  SamplerSettings settings_;
  uint64_t n_drawn_ = 0;
};

// log(sum(exp(logits))), summed in double.
double log_sum_exp(std::span<const float> logits);

}  // namespace tandem::engine
