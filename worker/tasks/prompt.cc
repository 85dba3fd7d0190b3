#include "worker/tasks/prompt.h"

#include <algorithm>
#include <span>

#include "shared/base/limits.h"
#include "shared/base/utf8.h"
#include "worker/tasks/cut_text.h"
#include "worker/tasks/plain_text.h"
#include "worker/tasks/template.h"

namespace tandem {
namespace {

using engine::ChatMessage;
using engine::Tokenizer;
using engine::Tokens;

using Values = std::map<std::string, std::string>;

// Where a text meets the words around it, one or the other may become more tokens than both had alone.
constexpr size_t kSeamTokens = 8;

std::string at_most(size_t expected, const std::string& what, const std::string& found) {
  return "expected at most " + std::to_string(expected) + " " + what + ", found " + found;
}

Result<void> check_text(std::string_view text, const std::string& place) {
  if (text.size() > limits::kTextBytesMax) {
    return fail(ErrorCode::kTooLong,
                place + ": " + at_most(limits::kTextBytesMax, "bytes", std::to_string(text.size())));
  }
  if (auto good = check_utf8(text); !good) return fail_in(place, good.error());
  return {};
}

Result<void> check_history(const std::vector<ChatTurn>& history) {
  for (size_t i = 0; i < history.size(); ++i) {
    const std::string place = "history[" + std::to_string(i) + "]";
    const std::string& role = history[i].role;
    if (role != "system" && role != "user" && role != "assistant") {
      return fail(ErrorCode::kInvalid,
                  place + ".role: expected system, user or assistant, found '" + utf8_lossy(role) + "'");
    }
    TANDEM_TRY(check_text(history[i].text, place + ".text"));
  }
  return {};
}

}  // namespace

Result<Values> variable_values(const Task& task, const JobRequest& request) {
  if (request.tasks.size() <= 1) {
    for (const auto& [name, value] : request.variables) {
      if (task.variables.contains(name)) continue;
      std::string known;
      for (const auto& [other, variable] : task.variables) known += (known.empty() ? "" : ", ") + other;
      return fail(ErrorCode::kInvalid, "variables: expected " + (known.empty() ? "none" : known) +
                                           " for task '" + task.name + "', found '" + utf8_lossy(name) + "'");
    }
  }
  Values values;
  for (const auto& [name, variable] : task.variables) {
    const std::string place = "variables." + name;
    const auto given = request.variables.find(name);
    if (given == request.variables.end()) {
      if (!variable.default_value) {
        return fail(ErrorCode::kInvalid,
                    place + ": expected a value, which task '" + task.name + "' needs, found none");
      }
      values[name] = *variable.default_value;
      continue;
    }
    if (auto good = check_utf8(given->second); !good) return fail_in(place, good.error());
    if (const std::string wrong = mismatch(variable, given->second); !wrong.empty()) {
      return fail(ErrorCode::kInvalid, place + ": " + wrong);
    }
    values[name] = given->second;
  }
  return values;
}

namespace {

// ---- the prompt ------------------------------------------------------------------------------------------

std::vector<ChatMessage> messages_of(const Task& task, Values values, std::span<const ChatTurn> history,
                                     const std::string& text) {
  std::vector<ChatMessage> messages;
  if (!task.system.empty()) messages.push_back({"system", fill_template(task.system, values)});
  for (const auto& [user, assistant] : task.examples) {
    values["text"] = user;
    messages.push_back({"user", fill_template(task.user, values)});
    messages.push_back({"assistant", assistant});
  }
  for (const ChatTurn& turn : history) messages.push_back({turn.role, turn.text});
  values["text"] = text;
  messages.push_back({"user", fill_template(task.user, values)});
  return messages;
}

size_t completion_of(const Task& task, const JobRequest& request) {
  return task.answer == AnswerKind::kText ? request.decode.tokens_max.value_or(task.tokens_max)
                                          : task.tokens_max;
}

// What the model takes beside the answer.
Result<size_t> room_beside(size_t completion, size_t tokens_max) {
  if (completion < tokens_max) return tokens_max - completion;
  return fail(ErrorCode::kTooLong, "tokens_max: expected less than the " + std::to_string(tokens_max) +
                                       " tokens that this model takes, found " + std::to_string(completion));
}

}  // namespace

Result<size_t> text_tokens_max(const Task& task, const JobRequest& request, const Tokenizer& tokenizer,
                               const engine::ChatTemplate& chat_template, size_t tokens_max) {
  TANDEM_ASSIGN(const Values values, variable_values(task, request));
  TANDEM_ASSIGN(const size_t room, room_beside(completion_of(task, request), tokens_max));
  TANDEM_ASSIGN(const Tokens around,
                tokenizer.encode(chat_template.render(messages_of(task, values, {}, ""), true)));
  const size_t taken = around.size() + kSeamTokens;
  return std::min<size_t>(task.input_tokens_max, room > taken ? room - taken : 0);
}

Result<Prompt> make_prompt(const Task& task, const JobRequest& request, const Tokenizer& tokenizer,
                           const engine::ChatTemplate& chat_template, size_t tokens_max) {
  TANDEM_TRY(check_text(request.text, "text"));
  const std::string_view whole_text = trim_blank(request.text);
  if (whole_text.empty()) {
    return fail(ErrorCode::kInvalid, std::string("text: expected a text, found an empty one") +
                                         (request.text.empty() ? "" : " (only white space)"));
  }
  TANDEM_ASSIGN(const Values values, variable_values(task, request));

  std::span<const ChatTurn> history;
  if (task.history_turns_max > 0) {
    TANDEM_TRY(check_history(request.history));
    history = request.history;
    history = history.last(std::min<size_t>(history.size(), task.history_turns_max));
  }

  const size_t completion = completion_of(task, request);
  TANDEM_ASSIGN(const size_t room, room_beside(completion, tokens_max));
  TANDEM_ASSIGN(FittedText text, fit_text(task, whole_text, task.input_tokens_max, tokenizer));
  if (text.too_long) return Prompt{.tokens = {}, .too_long = true};
  for (;;) {
    const std::vector<ChatMessage> messages = messages_of(task, values, history, text.text);
    TANDEM_ASSIGN(Tokens tokens, tokenizer.encode(chat_template.render(messages, true)));
    if (tokens.size() <= room) return Prompt{.tokens = std::move(tokens), .cut = text.cut};

    size_t over = tokens.size() - room;
    if (!history.empty()) {  // the oldest messages go first
      while (over > 0 && !history.empty()) {
        over -= std::min(over, tokenizer.encode_plain(history.front().text).size());
        history = history.subspan(1);
      }
    } else if (task.too_long == TooLong::kSplit) {
      return Prompt{.tokens = {}, .too_long = true};
    } else if (task.too_long == TooLong::kError || text.n_tokens <= over) {
      return fail(ErrorCode::kTooLong, "text: expected a prompt of at most " + std::to_string(room) +
                                           " tokens (this model takes " + std::to_string(tokens_max) +
                                           ", the answer may have " + std::to_string(completion) +
                                           "), found " + std::to_string(tokens.size()));
    } else {
      TANDEM_ASSIGN(text, fit_text(task, whole_text, text.n_tokens - over, tokenizer));
    }
  }
}

}  // namespace tandem
