#include "worker/tasks/cut_text.h"

#include <algorithm>
#include <span>

#include "shared/base/utf8.h"
#include "worker/tasks/plain_text.h"
#include "worker/tasks/sentences.h"

namespace tandem {
namespace {

using engine::Tokenizer;
using engine::Tokens;

// A token longer than this is unheard of (Qwen's longest is 128 spaces). A text of more bytes than its token
// limit can hold is too long without being tokenised, so that 4 MB of text cost no more than they must.
constexpr size_t kBytesPerTokenMax = 256;

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

std::string_view first_characters(std::string_view text, size_t n) {
  size_t end = 0;
  for (; n > 0 && end < text.size(); --n) {
    do ++end;
    while (end < text.size() && continues_character(text[end]));
  }
  return text.substr(0, end);
}
std::string_view last_characters(std::string_view text, size_t n) {
  size_t begin = text.size();
  for (; n > 0 && begin > 0; --n) {
    do --begin;
    while (begin > 0 && continues_character(text[begin]));
  }
  return text.substr(begin);
}

std::string bytes_of(const Tokenizer& tokenizer, std::span<const engine::TokenId> tokens) {
  std::string bytes;
  for (const engine::TokenId token : tokens) bytes += tokenizer.token_bytes(token);
  return bytes;
}

// What the policy keeps of a text, of which first(n) and last(n) give n units (tokens, characters).
template <typename First, typename Last>
std::string shortened(TooLong policy, size_t n, First first, Last last) {
  const auto head = [&](size_t n_first) {
    return std::string(trim_blank(whole_sentences_from_start(first(n_first))));
  };
  const auto tail = [&](size_t n_last) {
    return std::string(trim_blank(whole_sentences_to_end(last(n_last))));
  };
  if (policy == TooLong::kCutHead) return tail(n);
  if (policy == TooLong::kCutTail) return head(n);
  return head(n - n / 2) + std::string(kGap) + tail(n / 2);
}

std::string at_most(const Task& task, size_t n_max, const std::string& what, const std::string& found) {
  return "text: expected at most " + std::to_string(n_max) + " " + what + " for task '" + task.name +
         "', found " + found;
}

// The text in at most the task's characters.
Result<FittedText> fit_characters(const Task& task, std::string_view text) {
  const size_t n_max = task.input_chars_max;
  if (n_max == 0 || text.size() <= n_max) return FittedText{.text = std::string(text)};
  const size_t n_chars = utf8_length(text);
  if (n_chars <= n_max) return FittedText{.text = std::string(text)};
  if (task.too_long == TooLong::kSplit) return FittedText{.text = {}, .too_long = true};
  if (task.too_long == TooLong::kError)
    return fail(ErrorCode::kTooLong, at_most(task, n_max, "characters", std::to_string(n_chars)));
  const size_t n_gap = task.too_long == TooLong::kCutMiddle ? 1 : 0;
  return FittedText{.text = shortened(
                        task.too_long, n_max - n_gap, [&](size_t n) { return first_characters(text, n); },
                        [&](size_t n) { return last_characters(text, n); }),
                    .cut = true};
}

}  // namespace

Result<FittedText> fit_text(const Task& task, std::string_view whole, size_t n_max,
                            const Tokenizer& tokenizer) {
  const auto too_long = [&](const std::string& found) {
    return fail(ErrorCode::kTooLong, at_most(task, n_max, "tokens", found));
  };
  TANDEM_ASSIGN(FittedText fitted, fit_characters(task, whole));
  if (fitted.too_long) return fitted;
  const std::string_view text = fitted.text;
  const size_t end_bytes = n_max * kBytesPerTokenMax;
  const bool huge = text.size() / 2 > end_bytes;
  if (huge && task.too_long == TooLong::kError) return too_long("more");
  if (huge && task.too_long == TooLong::kSplit) return FittedText{.text = {}, .too_long = true};

  // The tokens of the whole text or, where that is hopeless, of as much of both ends as can matter.
  const Tokens head =
      tokenizer.encode_plain(whole_characters_from_start(huge ? text.substr(0, end_bytes) : text));
  if (!huge && head.size() <= n_max) {
    fitted.n_tokens = head.size();
    return fitted;
  }
  if (task.too_long == TooLong::kError) return too_long(std::to_string(head.size()));
  if (task.too_long == TooLong::kSplit) return FittedText{.text = {}, .too_long = true};
  const Tokens tail =
      huge ? tokenizer.encode_plain(whole_characters_to_end(text.substr(text.size() - end_bytes))) : head;

  std::string kept;  // what `first` and `last` gave: they are read before they are called again
  const auto first = [&](size_t n) -> std::string_view {
    kept = bytes_of(tokenizer, std::span(head).first(std::min(n, head.size())));
    return whole_characters_from_start(kept);
  };
  const auto last = [&](size_t n) -> std::string_view {
    kept = bytes_of(tokenizer, std::span(tail).last(std::min(n, tail.size())));
    return whole_characters_to_end(kept);
  };
  // Cut text can have more tokens than were kept: where it was cut, words are new ones. Then a little less.
  size_t n_keep = n_max;
  while (n_keep > 0) {
    FittedText shorter{shortened(task.too_long, n_keep, first, last), 0, true, false};
    shorter.n_tokens = tokenizer.encode_plain(shorter.text).size();
    if (shorter.n_tokens <= n_max) return shorter;
    n_keep -= std::min(n_keep, shorter.n_tokens - n_max);
  }
  return too_long("more, even when cut to nothing");
}

}  // namespace tandem
