// A text brought to the length that a task takes.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "shared/base/result.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/tasks/task.h"

namespace tandem {

struct FittedText {
  std::string text;
  size_t n_tokens = 0;
  bool cut = false;
  bool too_long = false;  // the task splits such texts: there is nothing else here
};

// `text` (valid UTF-8) in at most `tokens_max` tokens and the task's characters, as Task::too_long says:
// whole, cut between characters, or kTooLong. A sentence that a cut goes through is left out, if that costs
// a quarter of what is kept at most; where the middle is cut, "…" stands for it. Much of a text far beyond
// the limit is not looked at.
Result<FittedText> fit_text(const Task& task, std::string_view text, size_t tokens_max,
                            const engine::Tokenizer& tokenizer);

}  // namespace tandem
