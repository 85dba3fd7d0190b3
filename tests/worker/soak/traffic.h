// The jobs of the soak run: all kinds of sequences in one stream, the same for the same seed.

#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "worker/scheduler/inference.h"

namespace tandem::testing {

class Traffic {
 public:
  Traffic(uint32_t seed, size_t n_vocab, size_t positions_max);

  struct Job {
    SequenceRequest request;
    bool too_long = false;      // it has to be refused
    uint32_t cancel_after = 0;  // steps; 0: not cancelled
  };
  // Half scored, half decoded. Most begin with one of eight templates, some repeat an earlier prompt or go on
  // behind it, some have nothing in common with others. Most are short, one in thirty is long, one in two
  // hundred too long; one in twenty is cancelled; one in five is interactive.
  Job next(SequenceId id);

  // Always the same scoring, whatever the seed: its answer must be the same at any time.
  static SequenceRequest probe(SequenceId id);

  const std::vector<engine::Tokens>& templates() const { return templates_; }

 private:
  size_t draw(size_t low, size_t high) { return low + random_() % (high - low + 1); }
  engine::Tokens tokens(size_t n);
  engine::Tokens prompt();

  std::mt19937 random_;
  size_t n_vocab_, positions_max_;
  std::vector<engine::Tokens> templates_;
  std::vector<engine::Tokens> earlier_;  // some of the prompts so far
};

}  // namespace tandem::testing
