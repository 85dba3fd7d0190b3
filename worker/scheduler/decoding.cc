#include "worker/scheduler/decoding.h"

#include <algorithm>

namespace tandem {

Decoding::Decoding(const DecodeWork& work, const engine::Tokenizer& tokenizer,
                   std::span<const engine::TokenId> end_tokens)
    : tokens_max_(work.tokens_max),
      stream_(work.stream),
      end_tokens_(end_tokens),
      sampler_(work.sampler),
      detokenizer_(tokenizer),
      stops_(work.stop) {}

Decoding::Step Decoding::next(std::span<float> logits, engine::Tokens& history) {
  const engine::TokenId token = sampler_.next(logits, history);
  history.push_back(token);
  drawn_.push_back(token);

  Step step;
  if (std::find(end_tokens_.begin(), end_tokens_.end(), token) != end_tokens_.end()) {
    step.text = finish();
    step.finish_reason = "stop";
  } else {
    engine::StopStrings::Step certain = stops_.push(detokenizer_.push(token));
    step.text = std::move(certain.text);
    if (certain.stopped) {
      step.finish_reason = "stop";
    } else if (engine::is_looping(drawn_)) {
      step.text += finish();
      step.finish_reason = "repetition";
    } else if (drawn_.size() >= tokens_max_) {
      step.text += finish();
      step.finish_reason = "length";
    }
  }
  text_ += step.text;
  return step;
}

// What was held back: an unfinished character, and what might have become a stop string.
std::string Decoding::finish() {
  engine::StopStrings::Step last = stops_.push(detokenizer_.finish());
  if (!last.stopped) last.text += stops_.finish();
  return last.text;
}

}  // namespace tandem
