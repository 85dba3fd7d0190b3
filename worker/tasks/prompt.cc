#include "worker/tasks/prompt.h"

#include <algorithm>
#include <span>

#include "shared/base/limits.h"
#include "shared/base/utf8.h"
#include "worker/tasks/plain_text.h"
#include "worker/tasks/template.h"

namespace tandem {
namespace {

using engine::ChatMessage;
using engine::Tokenizer;
using engine::Tokens;

using Values = std::map<std::string, std::string>;

// A token longer than this is unheard of (Qwen's longest is 128 spaces). A text of more bytes than its token
// limit can hold is too long without being tokenised, so that 4 MB of text cost no more than they must.
constexpr size_t kBytesPerTokenMax = 256;

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

// The value of each of the task's variables: the job's, else the default.
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

// ---- cutting ---------------------------------------------------------------------------------------------

constexpr std::string_view kGap = "…";  // stands for what was cut out of the middle

bool continues_character(char c) {
  return (static_cast<uint8_t>(c) & 0xC0) == 0x80;
}
std::string_view whole_characters_from_start(std::string_view text) {
  return text.substr(0, utf8_valid_prefix(text));
}
std::string_view whole_characters_to_end(std::string_view text) {
  while (!text.empty() && continues_character(text.front())) text.remove_prefix(1);
  return text;
}

std::string bytes_of(const Tokenizer& tokenizer, std::span<const engine::TokenId> tokens) {
  std::string bytes;
  for (const engine::TokenId token : tokens) bytes += tokenizer.token_bytes(token);
  return bytes;
}

struct FittedText {
  std::string text;
  size_t n_tokens = 0;
  bool cut = false;
};

// `text` in at most `n_max` tokens.
Result<FittedText> fit_text(const Task& task, std::string_view text, size_t n_max,
                            const Tokenizer& tokenizer) {
  const auto too_long = [&](const std::string& found) {
    return fail(ErrorCode::kTooLong, "text: " + at_most(n_max, "tokens for task '" + task.name + "'", found));
  };
  const size_t end_bytes = n_max * kBytesPerTokenMax;
  const bool huge = text.size() / 2 > end_bytes;
  if (huge && task.too_long == TooLong::kError) return too_long("more");

  // The tokens of the whole text or, where that is hopeless, of as much of both ends as can matter.
  Tokens head = tokenizer.encode_plain(whole_characters_from_start(huge ? text.substr(0, end_bytes) : text));
  if (!huge && head.size() <= n_max) return FittedText{std::string(text), head.size(), false};
  if (task.too_long == TooLong::kError) return too_long(std::to_string(head.size()));
  const Tokens tail =
      huge ? tokenizer.encode_plain(whole_characters_to_end(text.substr(text.size() - end_bytes))) : head;

  const auto first = [&](size_t n) {
    n = std::min(n, head.size());
    return std::string(whole_characters_from_start(bytes_of(tokenizer, std::span(head).first(n))));
  };
  const auto last = [&](size_t n) {
    n = std::min(n, tail.size());
    return std::string(whole_characters_to_end(bytes_of(tokenizer, std::span(tail).last(n))));
  };
  const auto shortened = [&](size_t n) {
    switch (task.too_long) {
      case TooLong::kCutHead:
        return last(n);
      case TooLong::kCutMiddle:
        return first(n - n / 2) + std::string(kGap) + last(n / 2);
      default:
        return first(n);
    }
  };
  // Cut text can have more tokens than were kept: where it was cut, words are new ones. Then a little less.
  size_t n_keep = n_max;
  while (n_keep > 0) {
    FittedText fitted{shortened(n_keep), 0, true};
    fitted.n_tokens = tokenizer.encode_plain(fitted.text).size();
    if (fitted.n_tokens <= n_max) return fitted;
    n_keep -= std::min(n_keep, fitted.n_tokens - n_max);
  }
  return too_long("more, even when cut to nothing");
}

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

}  // namespace

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

  const size_t completion = task.answer == AnswerKind::kText
                                ? request.decode.tokens_max.value_or(task.tokens_max)
                                : task.tokens_max;
  if (completion >= tokens_max) {
    return fail(ErrorCode::kTooLong, "tokens_max: expected less than the " + std::to_string(tokens_max) +
                                         " tokens that this model takes, found " +
                                         std::to_string(completion));
  }
  const size_t room = tokens_max - completion;

  TANDEM_ASSIGN(FittedText text, fit_text(task, whole_text, task.input_tokens_max, tokenizer));
  for (;;) {
    const std::vector<ChatMessage> messages = messages_of(task, values, history, text.text);
    TANDEM_ASSIGN(Tokens tokens, tokenizer.encode(chat_template.render(messages, true)));
    if (tokens.size() <= room) return Prompt{std::move(tokens), text.cut};

    size_t over = tokens.size() - room;
    if (!history.empty()) {  // the oldest messages go first
      while (over > 0 && !history.empty()) {
        over -= std::min(over, tokenizer.encode_plain(history.front().text).size());
        history = history.subspan(1);
      }
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
