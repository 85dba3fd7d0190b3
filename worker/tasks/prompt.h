// From a task and a job to the tokens that the model sees.

#pragma once

#include <string>

#include "shared/base/result.h"
#include "shared/protocol/job.h"
#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/tasks/task.h"

namespace tandem {

struct Prompt {
  engine::Tokens tokens;
  bool cut = false;  // the text was shortened to the task's limit
};

// Checks the input (empty text, UTF-8, unknown or missing variables, too long under TooLong::kError: each
// kInvalid or kTooLong with what was expected and found), applies history (the last history_turns_max turns;
// none for tasks without history), fills the template, renders it and tokenises it. Text and history never
// become control tokens. `tokens_max` is what the model can take, completion included.
Result<Prompt> make_prompt(const Task& task, const JobRequest& request, const engine::Tokenizer& tokenizer,
                           const engine::ChatTemplate& chat_template, size_t tokens_max);

// The task's settings with the job's overrides on top. kInvalid names a setting out of its range
// (temperature 0..2, top_p 0..1, tokens_max 1..4096 ...).
struct DecodeSettings {
  engine::SamplerSettings sampler;
  uint32_t tokens_max = 0;
  std::vector<std::string> stop;
};
// Sampled tasks take their seed from the job (DecodeOverrides::seed), else from a hash of the prompt's
// tokens, so that the same job gives the same answer on any worker.
Result<DecodeSettings> decode_settings(const Task& task, const DecodeOverrides& overrides,
                                       const engine::Tokens& prompt);

}  // namespace tandem
