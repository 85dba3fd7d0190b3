// Guesses at the tokens that come next, for answers that copy: corrected texts, summaries, extracts. The
// model looks at several guessed tokens in one step, which costs little more than one while the weights have
// to come from memory anyway. A guess is only ever compared with what is drawn: it changes no answer.

#pragma once

#include <cstddef>
#include <span>

#include "worker/engine/tokens.h"

namespace tandem {

// How many guesses each of `n_decoding` sequences may take into a step. Rows of a step are nearly free up to
// kCheapRows, all sequences together; beyond, the products are as expensive as their rows are many.
inline constexpr size_t kCheapRows = 8;
size_t guesses_max(size_t n_decoding);

// One per sequence, pure.
//
// Looks for the last three tokens (else two, else one) earlier in prompt and answer, the latest place first,
// and guesses that what followed there follows here. How many tokens it guesses goes with its luck: twice as
// many after a guess that was right to its end, half as many after one that was not half right. After
// kMissesMax guesses in a row without a single right token it pauses, longer each time.
class PromptLookup {
 public:
  static constexpr size_t kWindowFirst = 4, kWindowMax = 16;
  static constexpr size_t kMissesMax = 3;
  static constexpr size_t kPauseFirst = 8, kPauseMax = 128;  // tokens

  // Up to `n_max` tokens to follow `history`; often none.
  engine::Tokens guess(std::span<const engine::TokenId> history, size_t n_max);

  // What became of the last guess: `n_right` of its tokens were drawn.
  void learn(size_t n_guessed, size_t n_right);

 private:
  size_t window_ = kWindowFirst;
  size_t n_misses_ = 0;
  size_t pause_ = kPauseFirst;  // the next one's length
  size_t n_paused_ = 0;         // tokens that are left of a pause
};

}  // namespace tandem
