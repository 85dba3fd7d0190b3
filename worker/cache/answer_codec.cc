#include "worker/cache/answer_codec.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "shared/base/assert.h"
#include "shared/base/limits.h"

namespace tandem {
namespace {

class Out {
 public:
  void letter(char c) { bytes_ += c; }
  void number(uint32_t n) { put(n, 4); }
  void real(double x) { put(std::bit_cast<uint64_t>(x), 8); }
  void text(std::string_view s) {
    number(static_cast<uint32_t>(s.size()));
    bytes_ += s;
  }
  std::string take() { return std::move(bytes_); }

 private:
  void put(uint64_t n, int n_bytes) {
    for (int i = 0; i < n_bytes; ++i) bytes_ += static_cast<char>(n >> (8 * i));
  }
  std::string bytes_;
};

// After the end it gives zeros and nothing, and is not good any more.
class In {
 public:
  explicit In(std::string_view bytes) : rest_(bytes) {}
  bool is_good() const { return is_good_; }
  bool is_done() const { return is_good_ && rest_.empty(); }

  char letter() {
    const std::string_view c = take(1);
    return c.empty() ? '\0' : c[0];
  }
  uint32_t number() { return static_cast<uint32_t>(get(take(4))); }
  double real() { return std::bit_cast<double>(get(take(8))); }
  std::string text() { return std::string(take(number())); }

 private:
  std::string_view take(size_t n) {
    is_good_ &= n <= rest_.size();
    if (!is_good_) return {};
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }
  static uint64_t get(std::string_view bytes) {
    uint64_t n = 0;
    for (size_t i = bytes.size(); i-- > 0;) n = n << 8 | static_cast<uint8_t>(bytes[i]);
    return n;
  }
  std::string_view rest_;
  bool is_good_ = true;
};

}  // namespace

std::string encode_answer(const TaskResult& result) {
  TANDEM_ASSERT(result.label.has_value() != result.text.has_value(), "an answer is a label or a text");
  Out out;
  out.letter(result.label ? 'l' : 't');
  for (const uint32_t n :
       {result.usage.prompt_tokens, result.usage.cached_tokens, result.usage.computed_tokens,
        result.usage.completion_tokens, result.task_version, result.pieces}) {
    out.number(n);
  }
  for (const std::string* text :
       {&result.task, &result.task_fingerprint, &result.model_fingerprint, &result.worker}) {
    out.text(*text);
  }
  if (result.text) {
    out.text(result.text->text);
    out.text(result.text->finish_reason);
    return out.take();
  }
  const LabelAnswer& label = *result.label;
  for (const std::string* text : {&label.label, &label.display, &label.reason}) out.text(*text);
  out.real(label.probability);
  out.real(label.margin);
  out.number(static_cast<uint32_t>(label.scores.size()));
  for (const LabelScore& score : label.scores) {
    out.text(score.id);
    out.real(score.probability);
  }
  return out.take();
}

std::optional<TaskResult> decode_answer(std::string_view bytes) {
  In in(bytes);
  TaskResult result;
  const char what = in.letter();
  for (uint32_t* n : {&result.usage.prompt_tokens, &result.usage.cached_tokens, &result.usage.computed_tokens,
                      &result.usage.completion_tokens, &result.task_version, &result.pieces}) {
    *n = in.number();
  }
  for (std::string* text :
       {&result.task, &result.task_fingerprint, &result.model_fingerprint, &result.worker}) {
    *text = in.text();
  }
  if (what == 't') {
    TextAnswer& answer = result.text.emplace();
    answer.text = in.text();
    answer.finish_reason = in.text();
  } else if (what == 'l') {
    LabelAnswer& label = result.label.emplace();
    for (std::string* text : {&label.label, &label.display, &label.reason}) *text = in.text();
    label.probability = in.real();
    label.margin = in.real();
    const uint32_t n_scores = in.number();
    if (!in.is_good() || n_scores > limits::kLabelsPerTaskMax) return std::nullopt;
    label.scores.reserve(n_scores);
    for (uint32_t i = 0; i < n_scores && in.is_good(); ++i) {
      LabelScore& score = label.scores.emplace_back();
      score.id = in.text();
      score.probability = in.real();
    }
  } else {
    return std::nullopt;
  }
  return in.is_done() ? std::optional(std::move(result)) : std::nullopt;
}

}  // namespace tandem
