#include "shared/base/hash.h"
#include "shared/base/limits.h"
#include "shared/base/utf8.h"
#include "worker/tasks/prompt.h"
#include "worker/tasks/setting_limits.h"

namespace tandem {
namespace {

template <typename T>
std::string written(T value) {
  std::string text = std::to_string(value);
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

// Collects what is out of range, so that a caller hears of everything at once.
class Overrider {
 public:
  template <typename T>
  void apply(const char* name, const std::optional<T>& value, T min, T max, T& target) {
    if (!value) return;
    if (*value >= min && *value <= max) {  // false for NaN, too
      target = *value;
    } else {
      wrong(name, "expected " + written(min) + " to " + written(max) + ", found " + written(*value));
    }
  }
  void wrong(const std::string& name, const std::string& text) {
    if (!problems_.empty()) problems_ += "; ";
    problems_ += "decode." + name + ": " + text;
  }
  const std::string& problems() const { return problems_; }

 private:
  std::string problems_;
};

void apply_stops(const std::vector<std::string>& stops, Overrider& overrider,
                 std::vector<std::string>& target) {
  if (stops.size() > limits::kStopStringsMax) {
    overrider.wrong("stop", "expected at most " + std::to_string(limits::kStopStringsMax) +
                                " strings, found " + std::to_string(stops.size()));
  }
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > limits::kStopBytesMax || !check_utf8(stop)) {
      overrider.wrong("stop", "expected strings of 1 to " + std::to_string(limits::kStopBytesMax) +
                                  " bytes of UTF-8, found one of " + std::to_string(stop.size()));
    }
  }
  target = stops;
}

uint64_t seed_of(const engine::Tokens& prompt) {
  HashBuilder hash;
  hash.add("tandem seed 1");
  for (const engine::TokenId token : prompt) hash.add(static_cast<uint64_t>(static_cast<uint32_t>(token)));
  return hash.finish().low64();
}

}  // namespace

Result<DecodeSettings> decode_settings(const Task& task, const DecodeOverrides& overrides,
                                       const engine::Tokens& prompt) {
  namespace allowed = setting_limits;
  DecodeSettings settings{task.sampler, task.tokens_max, task.stop};
  if (task.answer == AnswerKind::kText) {
    Overrider overrider;
    engine::SamplerSettings& sampler = settings.sampler;
    overrider.apply("tokens_max", overrides.tokens_max, 1u, allowed::kTokensMax, settings.tokens_max);
    overrider.apply("temperature", overrides.temperature, 0.0, allowed::kTemperatureMax, sampler.temperature);
    overrider.apply("top_k", overrides.top_k, 0u, allowed::kTopKMax, sampler.top_k);
    overrider.apply("top_p", overrides.top_p, 0.0, 1.0, sampler.top_p);
    overrider.apply("repetition_penalty", overrides.repetition_penalty, allowed::kRepetitionPenaltyMin,
                    allowed::kRepetitionPenaltyMax, sampler.repetition_penalty);
    uint32_t no_repeat_ngram = sampler.no_repeat_ngram;
    std::vector<std::string> stop = settings.stop;
    overrider.apply("no_repeat_ngram", overrides.no_repeat_ngram, 0u, allowed::kNoRepeatNgramMax,
                    no_repeat_ngram);
    if (overrides.stop) apply_stops(*overrides.stop, overrider, stop);
    // Where the answer has a shape, that alone says what may be repeated and where it ends.
    if (task.shape == TextShape::kFree) {
      sampler.no_repeat_ngram = no_repeat_ngram;
      settings.stop = std::move(stop);
    }
    if (!overrider.problems().empty()) return fail(ErrorCode::kInvalid, overrider.problems());
  }

  engine::SamplerSettings& sampler = settings.sampler;
  if (task.answer == AnswerKind::kText && overrides.seed)
    sampler.seed = *overrides.seed;
  else if (sampler.seed == 0)
    sampler.seed = seed_of(prompt);
  sampler = without_idle_settings(sampler);
  return settings;
}

// Greedy decoding takes the likeliest token: cuts that always leave it, and the seed, have no effect.
engine::SamplerSettings without_idle_settings(engine::SamplerSettings sampler) {
  if (sampler.temperature != 0 && sampler.top_k != 1) return sampler;
  const engine::SamplerSettings neutral;
  sampler.temperature = neutral.temperature;
  sampler.top_k = neutral.top_k;
  sampler.top_p = neutral.top_p;
  sampler.min_p = neutral.min_p;
  sampler.seed = neutral.seed;
  return sampler;
}

}  // namespace tandem
