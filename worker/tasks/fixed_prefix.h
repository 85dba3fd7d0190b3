// The beginning of a task's prompts that is the same whatever the text.

#pragma once

#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/tasks/task.h"

namespace tandem {

// The longest common beginning, in tokens, of the task's prompts for texts that begin with different kinds of
// characters. Compared as tokens, because a text's first letters may become one token with what stands in
// front of them. Variables have their defaults; one without a default ends the beginning. Empty when nothing
// is common, or when no prompt fits into `tokens_max` (as for make_prompt).
engine::Tokens fixed_prefix(const Task& task, const engine::Tokenizer& tokenizer,
                            const engine::ChatTemplate& chat_template, size_t tokens_max);

}  // namespace tandem
