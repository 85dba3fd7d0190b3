#include "worker/tasks/fixed_prefix.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "worker/tasks/prompt.h"

namespace tandem {
namespace {

// A letter, a digit, a sign, a character of another script, and one that is no single token.
constexpr std::array<std::string_view, 6> kTexts = {"a", "The", "7", "\"", "\u4f60", "\u00e9t\u00e9"};

// For a variable without a default: different texts get different values where there is a choice.
std::string value_of(const Variable& variable, size_t i) {
  if (!variable.choices.empty()) return variable.choices[i % variable.choices.size()];
  if (variable.type == VariableType::kString) return std::string(1, static_cast<char>('a' + i));
  return std::to_string(i % 2 == 0 ? variable.min : variable.max);
}

}  // namespace

engine::Tokens fixed_prefix(const Task& task, const engine::Tokenizer& tokenizer,
                            const engine::ChatTemplate& chat_template, size_t tokens_max) {
  engine::Tokens common;
  for (size_t i = 0; i < kTexts.size(); ++i) {
    JobRequest request;
    request.text = kTexts[i];
    request.tasks = {task.name};
    for (const auto& [name, variable] : task.variables) {
      if (!variable.default_value) request.variables[name] = value_of(variable, i);
    }
    const auto prompt = make_prompt(task, request, tokenizer, chat_template, tokens_max);
    if (!prompt) return {};
    const engine::Tokens& tokens = prompt->tokens;
    if (i == 0) common = tokens;
    common.erase(std::mismatch(common.begin(), common.end(), tokens.begin(), tokens.end()).first,
                 common.end());
  }
  return common;
}

}  // namespace tandem
