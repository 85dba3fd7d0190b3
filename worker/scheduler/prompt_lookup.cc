#include "worker/scheduler/prompt_lookup.h"

#include <algorithm>

namespace tandem {

size_t guesses_max(size_t n_decoding) {
  return n_decoding == 0 || n_decoding >= kCheapRows ? 0 : (kCheapRows - n_decoding) / n_decoding;
}

engine::Tokens PromptLookup::guess(std::span<const engine::TokenId> history, size_t n_max) {
  if (n_paused_ > 0) {
    --n_paused_;
    return {};
  }
  const size_t n_guess = std::min(n_max, window_);
  if (n_guess == 0) return {};
  for (size_t n = std::min<size_t>(3, history.size()); n > 0; --n) {
    const auto tail = history.last(n);
    for (size_t begin = history.size() - n; begin > 0; --begin) {
      const auto place = history.subspan(begin - 1, n);
      if (!std::equal(tail.begin(), tail.end(), place.begin())) continue;
      const auto follows = history.subspan(begin - 1 + n);
      return {follows.begin(),
              follows.begin() + static_cast<std::ptrdiff_t>(std::min(n_guess, follows.size()))};
    }
  }
  return {};
}

void PromptLookup::learn(size_t n_guessed, size_t n_right) {
  if (n_guessed == 0) return;
  if (n_right == n_guessed) {
    window_ = std::min(kWindowMax, std::max(window_, n_guessed) * 2);
  } else if (n_right * 2 < n_guessed) {
    window_ = std::max<size_t>(1, window_ / 2);
  }
  if (n_right > 0) {
    n_misses_ = 0;
    pause_ = kPauseFirst;
  } else if (++n_misses_ == kMissesMax) {
    n_misses_ = 0;
    n_paused_ = pause_;
    pause_ = std::min(kPauseMax, pause_ * 2);
  }
}

}  // namespace tandem
