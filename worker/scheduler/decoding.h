// One decode, from logits to text, until something ends it: the end token, a stop string, the limit, a loop,
// or a constraint behind which nothing can follow.

#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "worker/engine/constraint/constraint.h"
#include "worker/engine/sampler/sampler.h"
#include "worker/engine/sampler/stop_strings.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/scheduler/inference.h"
#include "worker/scheduler/prompt_lookup.h"

namespace tandem {

// Belongs to the inference thread. `end_tokens` outlives it.
class Decoding {
 public:
  Decoding(const DecodeWork& work, const engine::Tokenizer& tokenizer,
           std::span<const engine::TokenId> end_tokens);

  // Guesses at the tokens behind `history`, at most `n_max` and as many as the answer has room for; none when
  // the work does not ask for it. The model may then be run over [last token, guesses...] at once: the first
  // logits are next()'s as ever, and as long as Step::guessed is true the following ones are the next call's.
  engine::Tokens guess(const engine::Tokens& history, size_t n_max);

  struct Step {
    std::string text;           // that became certain, often ""
    std::string finish_reason;  // "stop", "length", "repetition"; empty: it goes on
    bool guessed = false;       // the token is the one that was guessed: the logits behind it are good
  };
  // Draws the next token from `logits`, which are overwritten, and appends it to `history`: the prompt and
  // what was drawn so far.
  Step next(std::span<float> logits, engine::Tokens& history);

  // The whole text so far, without stop strings and what came after them.
  const std::string& text() const { return text_; }
  size_t n_drawn() const { return drawn_.size(); }  // the end token counts
  bool stream() const { return stream_; }

 private:
  engine::TokenId draw(std::span<float> logits, const engine::Tokens& history);
  bool is_end(engine::TokenId token) const;
  bool check_guess(engine::TokenId token);
  std::string finish();

  uint32_t tokens_max_;
  bool stream_;
  std::span<const engine::TokenId> end_tokens_;
  std::shared_ptr<const engine::Constraint> constraint_;
  engine::Constraint::Progress progress_;
  engine::Sampler sampler_;
  engine::StreamingDetokenizer detokenizer_;
  engine::StopStrings stops_;
  std::optional<PromptLookup> lookup_;
  engine::Tokens guess_;  // that the model is looking at
  size_t n_right_ = 0;    // of it
  std::vector<engine::TokenId> drawn_;
  std::string text_;
};

}  // namespace tandem
