#include "worker/scheduler/decoding.h"

#include <algorithm>
#include <limits>

#include "shared/base/assert.h"

namespace tandem {
namespace {

// A constraint says itself what may be repeated; the ban could leave it nothing.
engine::SamplerSettings settings_of(const DecodeWork& work) {
  engine::SamplerSettings settings = work.sampler;
  if (work.constraint) settings.no_repeat_ngram = 0;
  return settings;
}

}  // namespace

Decoding::Decoding(const DecodeWork& work, const engine::Tokenizer& tokenizer,
                   std::span<const engine::TokenId> end_tokens)
    : tokens_max_(work.tokens_max),
      stream_(work.stream),
      end_tokens_(end_tokens),
      constraint_(work.constraint),
      sampler_(settings_of(work)),
      detokenizer_(tokenizer),
      stops_(work.stop) {
  if (work.speculate) lookup_.emplace();
}

engine::Tokens Decoding::guess(const engine::Tokens& history, size_t n_max) {
  TANDEM_ASSERT(guess_.empty(), "a guess is looked at before the next one");
  if (!lookup_) return {};
  // The token behind the last guess is drawn as well.
  const size_t n_left = tokens_max_ - std::min<size_t>(tokens_max_, drawn_.size() + 1);
  guess_ = lookup_->guess(history, std::min(n_max, n_left));
  return guess_;
}

Decoding::Step Decoding::next(std::span<float> logits, engine::Tokens& history) {
  const engine::TokenId token = draw(logits, history);
  history.push_back(token);
  drawn_.push_back(token);

  Step step;
  step.guessed = check_guess(token);
  if (is_end(token)) {
    step.text = finish();
    step.finish_reason = "stop";
  } else {
    if (constraint_) constraint_->advance(progress_, token);
    engine::StopStrings::Step certain = stops_.push(detokenizer_.push(token));
    step.text = std::move(certain.text);
    if (certain.stopped) {
      step.finish_reason = "stop";
    } else if (constraint_ && constraint_->must_end(progress_)) {
      step.text += finish();  // an end token is all that could come: no step for it
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

bool Decoding::is_end(engine::TokenId token) const {
  return std::find(end_tokens_.begin(), end_tokens_.end(), token) != end_tokens_.end();
}

engine::TokenId Decoding::draw(std::span<float> logits, const engine::Tokens& history) {
  if (!constraint_) return sampler_.next(logits, history);
  const auto mask = constraint_->mask(progress_);
  const bool may_end = constraint_->may_end(progress_);
  std::vector<float> ends;
  for (const engine::TokenId end : end_tokens_) ends.push_back(logits[static_cast<size_t>(end)]);
  mask->apply(logits);
  for (size_t i = 0; i < ends.size(); ++i) {
    logits[static_cast<size_t>(end_tokens_[i])] = may_end ? ends[i] : -std::numeric_limits<float>::infinity();
  }
  const engine::TokenId token = sampler_.next(logits, history);
  if (is_end(token) ? may_end : mask->contains(token)) return token;
  // Nothing that is allowed has a logit above -infinity: a broken model, but the answer keeps its shape.
  return mask->size() > 0 ? mask->first() : end_tokens_.front();
}

// Whether the model has looked at this token as the next one.
bool Decoding::check_guess(engine::TokenId token) {
  if (guess_.empty()) return false;
  const bool right = n_right_ < guess_.size() && guess_[n_right_] == token;
  if (right) {
    ++n_right_;
    return true;
  }
  lookup_->learn(guess_.size(), n_right_);
  guess_.clear();
  n_right_ = 0;
  return false;
}

// What was held back: an unfinished character, and what might have become a stop string.
std::string Decoding::finish() {
  engine::StopStrings::Step last = stops_.push(detokenizer_.finish());
  if (!last.stopped) last.text += stops_.finish();
  return last.text;
}

}  // namespace tandem
