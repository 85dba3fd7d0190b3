// From a task and a job to the tokens that the model sees.

#pragma once

#include <map>
#include <string>

#include "shared/base/result.h"
#include "shared/protocol/job.h"
#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/tasks/task.h"

namespace tandem {

struct Prompt {
  engine::Tokens tokens;
  bool cut = false;       // the text was shortened to the task's limit
  bool too_long = false;  // the task splits texts, and this is one that has to be: there are no tokens
};

// Checks the input, applies history, fills the template, renders it and tokenises it. Text, history and
// variables never become control tokens. kInvalid or kTooLong say what was expected and what was found:
//
// - The text is UTF-8 and says something; white space at its ends does not count.
// - A variable that the task does not have is an error if the job has this one task only: in a job of several
//   it may be meant for another.
// - History: the last history_turns_max messages; none for a task without history.
// - A text of more than input_tokens_max tokens, or input_chars_max characters, is refused, cut
//   (cut_text.h) or found too long for one prompt, as the task says.
// - `tokens_max` is what the model can take, completion included. What does not fit loses the oldest messages
//   first; then the text is cut further, refused, or found too long.
Result<Prompt> make_prompt(const Task& task, const JobRequest& request, const engine::Tokenizer& tokenizer,
                           const engine::ChatTemplate& chat_template, size_t tokens_max);

// The tokens that a text may have in a prompt of the task, without history: its limit, or what the model has
// room for beside the rest. 0 when there is no room at all; errors as of make_prompt().
Result<size_t> text_tokens_max(const Task& task, const JobRequest& request,
                               const engine::Tokenizer& tokenizer, const engine::ChatTemplate& chat_template,
                               size_t tokens_max);

// The value of each of the task's variables: the job's, else the default. kInvalid as of make_prompt().
Result<std::map<std::string, std::string>> variable_values(const Task& task, const JobRequest& request);

// The task's settings with the job's overrides on top, for tasks whose answer is text; a label has the task's
// settings. kInvalid names a setting out of its range (setting_limits.h).
struct DecodeSettings {
  engine::SamplerSettings sampler;
  uint32_t tokens_max = 0;
  std::vector<std::string> stop;
};
// Sampled tasks take their seed from the job (DecodeOverrides::seed), else from a hash of the prompt's
// tokens, so that the same job gives the same answer on any worker. Settings without effect are put to their
// neutral values (seed, top_k, top_p and min_p of a greedy decode), so that equal meanings compare equal.
Result<DecodeSettings> decode_settings(const Task& task, const DecodeOverrides& overrides,
                                       const engine::Tokens& prompt);
// The neutral form that decode_settings() gives.
engine::SamplerSettings without_idle_settings(engine::SamplerSettings sampler);

}  // namespace tandem
