// One decode, from logits to text, until something ends it: the end token, a stop string, the limit, a loop.

#pragma once

#include <span>
#include <string>
#include <vector>

#include "worker/engine/sampler/sampler.h"
#include "worker/engine/sampler/stop_strings.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/scheduler/inference.h"

namespace tandem {

// Belongs to the inference thread. `end_tokens` outlives it.
class Decoding {
 public:
  Decoding(const DecodeWork& work, const engine::Tokenizer& tokenizer,
           std::span<const engine::TokenId> end_tokens);

  struct Step {
    std::string text;           // that became certain, often ""
    std::string finish_reason;  // "stop", "length", "repetition"; empty: it goes on
  };
  // Draws the next token from `logits`, which are overwritten, and appends it to `history`: the prompt and
  // what was drawn so far.
  Step next(std::span<float> logits, engine::Tokens& history);

  // The whole text so far, without stop strings and what came after them.
  const std::string& text() const { return text_; }
  size_t n_drawn() const { return drawn_.size(); }  // the end token counts
  bool stream() const { return stream_; }

 private:
  std::string finish();

  uint32_t tokens_max_;
  bool stream_;
  std::span<const engine::TokenId> end_tokens_;
  engine::Sampler sampler_;
  engine::StreamingDetokenizer detokenizer_;
  engine::StopStrings stops_;
  std::vector<engine::TokenId> drawn_;
  std::string text_;
};

}  // namespace tandem
