// Cuts text into the pieces that BPE works on (words, single digits, runs of signs or of spaces), by the
// regular expression in tokenizer.json.

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace tandem::engine {

// Immutable; safe from any thread.
class Splitter {
 public:
  // `pattern` is written for Oniguruma, which the reference uses; here PCRE2 runs it. kUnsupported for a
  // pattern that is none, or with something that the two read differently.
  static Result<Splitter> compile(const std::string& pattern);

  // Calls `take` with each piece of `text` (valid UTF-8) in order; together they are the whole text. What the
  // pattern does not match is a piece of its own, and so is all that is left where matching gives up at its
  // limit (a pattern that backtracks without end; that of Qwen never does).
  void split(std::string_view text, const std::function<void(std::string_view)>& take) const;

 private:
  struct Code;
  explicit Splitter(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  std::shared_ptr<const Code> code_;
};

// `pattern` with each \s and \S spelled out as Unicode's white space: PCRE2 counts U+180E in, Oniguruma does
// not.
Result<std::string> to_pcre2(std::string_view pattern);

}  // namespace tandem::engine
