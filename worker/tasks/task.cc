#include "worker/tasks/task.h"

#include <algorithm>
#include <charconv>

#include "shared/base/hash.h"
#include "shared/base/utf8.h"

namespace tandem {
namespace {

void add(HashBuilder& hash, const Label& label) {
  hash.add(label.id).add(label.say).add(label.display).add(uint64_t{label.aliases.size()});
  for (const std::string& alias : label.aliases) hash.add(alias);
}

void add(HashBuilder& hash, const std::string& name, const Variable& variable) {
  hash.add(name).add(static_cast<uint64_t>(variable.type));
  hash.add(uint64_t{variable.default_value.has_value()}).add(variable.default_value.value_or(""));
  hash.add(uint64_t{variable.choices.size()});
  for (const std::string& choice : variable.choices) hash.add(choice);
  hash.add(uint64_t{variable.chars_max});
  hash.add(static_cast<uint64_t>(variable.min)).add(static_cast<uint64_t>(variable.max));
}

void add(HashBuilder& hash, const engine::SamplerSettings& sampler) {
  hash.add(sampler.temperature).add(uint64_t{sampler.top_k}).add(sampler.top_p).add(sampler.min_p);
  hash.add(sampler.repetition_penalty).add(uint64_t{sampler.no_repeat_ngram}).add(sampler.seed);
}

}  // namespace

// All but the description, the cache policy and what changes speed only. Every list goes with its length, so
// that no two tasks run into each other. The order is fixed: fingerprints are in caches that outlive this
// process.
std::string task_fingerprint(const Task& task) {
  HashBuilder hash;
  hash.add("tandem task 1").add(task.name).add(uint64_t{task.version});
  hash.add(task.system).add(task.user).add(uint64_t{task.examples.size()});
  for (const auto& [user, assistant] : task.examples) hash.add(user).add(assistant);
  hash.add(uint64_t{task.history_turns_max}).add(uint64_t{task.variables.size()});
  for (const auto& [name, variable] : task.variables) add(hash, name, variable);
  hash.add(uint64_t{task.input_tokens_max}).add(static_cast<uint64_t>(task.too_long));
  hash.add(static_cast<uint64_t>(task.answer)).add(static_cast<uint64_t>(task.method));
  hash.add(uint64_t{task.labels.size()});
  for (const Label& label : task.labels) add(hash, label);
  hash.add(task.margin_min).add(uint64_t{task.tokens_max}).add(uint64_t{task.stop.size()});
  for (const std::string& stop : task.stop) hash.add(stop);
  add(hash, task.sampler);
  if (task.shape != TextShape::kFree) {  // the others keep the fingerprint that they had before shapes
    hash.add("shape").add(static_cast<uint64_t>(task.shape)).add(uint64_t{task.choices.size()});
    for (const std::string& choice : task.choices) hash.add(choice);
    hash.add(task.pattern).add(task.schema);
  }
  if (task.input_chars_max > 0) hash.add("chars").add(uint64_t{task.input_chars_max});
  return hash.finish().to_hex();
}

std::string mismatch(const Variable& variable, const std::string& value) {
  if (variable.type == VariableType::kInteger) {
    int64_t number = 0;
    const auto [rest, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (failure == std::errc{} && rest == value.data() + value.size() && number >= variable.min &&
        number <= variable.max) {
      return "";
    }
    std::string range;
    if (variable.min != INT64_MIN) range += " of at least " + std::to_string(variable.min);
    if (variable.max != INT64_MAX)
      range += (range.empty() ? " of at most " : " and at most ") + std::to_string(variable.max);
    return "expected a whole number" + range + ", found '" + utf8_lossy(value.substr(0, 60)) + "'";
  }
  if (!variable.choices.empty()) {
    if (std::find(variable.choices.begin(), variable.choices.end(), value) != variable.choices.end())
      return "";
    std::string choices;
    for (const std::string& choice : variable.choices) choices += (choices.empty() ? "" : ", ") + choice;
    return "expected one of " + choices + ", found '" + utf8_lossy(value.substr(0, 60)) + "'";
  }
  const size_t n_chars = utf8_length(value);
  if (n_chars <= variable.chars_max) return "";
  return "expected at most " + std::to_string(variable.chars_max) + " characters, found " +
         std::to_string(n_chars);
}

}  // namespace tandem
