// A task's TOML file: every key, its range, and what must agree with what. configs/tasks/README.md is the
// description for people; keep the two together.

#include <algorithm>
#include <set>
#include <tuple>

#include "shared/base/limits.h"
#include "shared/base/utf8.h"
#include "shared/config/toml.h"
#include "worker/tasks/plain_text.h"
#include "worker/tasks/setting_limits.h"
#include "worker/tasks/task.h"
#include "worker/tasks/template.h"

namespace tandem {
namespace {

namespace allowed = setting_limits;
constexpr size_t kExamplesMax = 64;
constexpr size_t kDisplayBytesMax = limits::kTagBytesMax;

std::string in_quotes(std::string_view text) {
  return "'" + std::string(text) + "'";
}

// Reads one of a few words.
template <typename T, size_t N>
void read_choice(TomlTable& table, std::string_view key, const std::pair<const char*, T> (&choices)[N],
                 T& value) {
  std::string word;
  if (!table.read(key, word)) return;
  std::string names;
  for (const auto& [name, meaning] : choices) {
    if (word == name) {
      value = meaning;
      return;
    }
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  table.problem(key, "expected one of " + names + ", found " + in_quotes(word));
}

// A text of 1 to `bytes_max` bytes.
bool read_short(TomlTable& table, std::string_view key, std::string& value, size_t bytes_max) {
  std::string found;
  if (!table.read(key, found)) return false;
  if (found.empty() || found.size() > bytes_max) {
    table.problem(key, "expected a text of 1 to " + std::to_string(bytes_max) + " bytes, found one of " +
                           std::to_string(found.size()));
    return false;
  }
  value = std::move(found);
  return true;
}

// ---- prompt and variables --------------------------------------------------------------------------------

void read_examples(TomlTable& prompt, Task& task) {
  std::vector<TomlTable> examples = prompt.tables("examples");
  if (examples.size() > kExamplesMax) {
    prompt.problem("examples", "expected at most " + std::to_string(kExamplesMax) + ", found " +
                                   std::to_string(examples.size()));
  }
  for (TomlTable& example : examples) {
    auto& [user, assistant] = task.examples.emplace_back();
    example.need("user");
    example.need("assistant");
    read_short(example, "user", user, limits::kTextBytesMax);
    read_short(example, "assistant", assistant, limits::kTextBytesMax);
  }
}

void read_prompt(TomlTable& prompt, Task& task) {
  prompt.read("system", task.system);
  prompt.read("user", task.user);
  prompt.read<uint32_t>("history_turns_max", task.history_turns_max, {0, limits::kHistoryTurnsMax});
  read_examples(prompt, task);
}

bool is_variable_name(std::string_view name) {
  return !name.empty() && name.size() <= limits::kNameBytesMax && name != "text" &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
             std::string_view::npos;
}

void read_variable(TomlTable& table, Variable& variable) {
  read_choice(table, "type",
              {std::pair{"string", VariableType::kString}, {"integer", VariableType::kInteger}},
              variable.type);
  if (variable.type == VariableType::kInteger) {
    int64_t number = 0;
    if (table.read("default", number)) variable.default_value = std::to_string(number);
    table.read("min", variable.min);
    table.read("max", variable.max);
    if (variable.min > variable.max) table.problem("min", "expected no more than max, found more");
  } else {
    std::string text;
    if (table.read("default", text)) variable.default_value = text;
    table.read("choices", variable.choices);
    if (table.has("choices") && variable.choices.empty())
      table.problem("choices", "expected at least one, found none");
    table.read<size_t>("chars_max", variable.chars_max, {1, limits::kVariableBytesMax});
  }
  if (!variable.default_value) return;
  if (const std::string wrong = mismatch(variable, *variable.default_value); !wrong.empty())
    table.problem("default", wrong);
}

void read_variables(TomlTable& variables, Task& task) {
  const std::vector<std::string> names = variables.keys();
  if (names.size() > limits::kVariablesMax) {
    variables.problem("", "expected at most " + std::to_string(limits::kVariablesMax) + " variables, found " +
                              std::to_string(names.size()));
  }
  for (const std::string& name : names) {
    std::optional<TomlTable> table = variables.table(name);
    if (!table) continue;
    if (!is_variable_name(name)) {
      variables.problem(name, "expected a name of letters, digits, '_' and '-' that is not 'text'");
    }
    read_variable(*table, task.variables[name]);
  }
}

// The names in a template, each of which must be a variable or {text}.
std::vector<std::string> names_in(TomlTable& prompt, std::string_view key, const std::string& text,
                                  const Task& task) {
  std::vector<std::string> names;
  const auto pieces = parse_template(text);
  if (!pieces) {
    prompt.problem(key, pieces.error().text);
    return names;
  }
  std::vector<std::string> known{"text"};
  for (const auto& [name, variable] : task.variables) known.push_back(name);
  for (const TemplatePiece& piece : *pieces) {
    if (!piece.is_name) continue;
    names.push_back(piece.text);
    if (std::find(known.begin(), known.end(), piece.text) != known.end()) continue;
    const std::string meant = closest_word(piece.text, known);
    prompt.problem(key, "expected {text} or a variable of [variables], found {" + piece.text + "}" +
                            (meant.empty() ? "" : ", did you mean {" + meant + "}?"));
  }
  return names;
}

void check_templates(TomlTable& prompt, std::optional<TomlTable>& variables, const Task& task) {
  const std::vector<std::string> in_system = names_in(prompt, "system", task.system, task);
  const std::vector<std::string> in_user = names_in(prompt, "user", task.user, task);
  if (std::count(in_system.begin(), in_system.end(), "text") > 0) {
    prompt.problem("system", "expected {text} in 'user' only: what users write is no system prompt");
  }
  if (const auto n = std::count(in_user.begin(), in_user.end(), "text");
      n != 1 && parse_template(task.user)) {
    prompt.problem("user", "expected {text} once, found it " + std::to_string(n) + " times");
  }
  for (const auto& [name, variable] : task.variables) {
    if (std::find(in_system.begin(), in_system.end(), name) != in_system.end()) continue;
    if (std::find(in_user.begin(), in_user.end(), name) != in_user.end()) continue;
    variables->problem(name, "expected {" + name + "} in a template, found none");
  }
}

// ---- answer ----------------------------------------------------------------------------------------------

void read_label(TomlTable& table, Label& label) {
  table.need("id");
  table.need("say");
  read_short(table, "id", label.id, limits::kNameBytesMax);
  read_short(table, "say", label.say, limits::kTagBytesMax);
  if (trim_blank(label.say) != label.say) {
    table.problem("say", "expected no white space at its ends, found " + in_quotes(label.say));
  }
  label.display = label.say;
  read_short(table, "display", label.display, kDisplayBytesMax);
  table.read("aliases", label.aliases);
  for (const std::string& alias : label.aliases) {
    if (is_blank(alias)) table.problem("aliases", "expected words, found an empty one");
  }
}

// Two labels under one id, or one spelling for two labels, would make answers a matter of luck.
void check_labels(std::vector<TomlTable>& tables, const std::vector<Label>& labels) {
  std::map<std::string, size_t> ids;
  std::map<std::u32string, size_t> spellings;
  for (size_t i = 0; i < labels.size(); ++i) {
    const Label& label = labels[i];
    if (!label.id.empty() && !ids.emplace(label.id, i).second) {
      tables[i].problem("id", "expected every label once, found " + in_quotes(label.id) + " again");
      continue;
    }
    const auto check = [&](const char* key, const std::string& spelling) {
      const auto [other, is_new] = spellings.emplace(plain_text(spelling), i);
      if (is_new || other->second == i || spelling.empty()) return;
      tables[i].problem(key, "expected a spelling of this label only, but " + in_quotes(spelling) +
                                 " also means " + in_quotes(labels[other->second].id));
    };
    check("say", label.say);
    check("id", label.id);
    for (const std::string& alias : label.aliases) check("aliases", alias);
  }
}

// The keys of the one shape; those of the others are mistakes.
void read_shape(TomlTable& answer, Task& task) {
  constexpr std::pair<const char*, TextShape> kKeys[] = {
      {"choices", TextShape::kChoice}, {"pattern", TextShape::kRegex}, {"schema", TextShape::kJson}};
  constexpr const char* kKinds[] = {"choice", "regex", "json"};
  for (size_t i = 0; i < std::size(kKeys); ++i) {
    const auto& [key, shape] = kKeys[i];
    if (answer.has(key) && task.shape != shape)
      answer.problem(key, "expected with kind = \"" + std::string(kKinds[i]) + "\" only");
  }
  const auto make = [&](const char* key, Result<std::shared_ptr<const engine::Grammar>> grammar) {
    if (!answer.has(key)) {
      if (task.shape != TextShape::kJson) answer.need(key);
    } else if (!grammar) {
      answer.problem(key, grammar.error().text);
    }
    if (grammar) task.grammar = std::move(*grammar);
  };
  if (task.shape == TextShape::kChoice) {
    answer.read("choices", task.choices);
    make("choices", engine::grammar_of_choice(task.choices));
  } else if (task.shape == TextShape::kRegex) {
    answer.read("pattern", task.pattern);
    make("pattern", engine::grammar_of_regex(task.pattern));
  } else if (task.shape == TextShape::kJson) {
    answer.read("schema", task.schema);
    make("schema", engine::grammar_of_json(task.schema));
  }
}

void read_answer(TomlTable& answer, Task& task) {
  answer.need("kind");
  using Kind = std::pair<AnswerKind, TextShape>;
  Kind kind{task.answer, task.shape};
  read_choice(answer, "kind",
              {std::pair{"label", Kind{AnswerKind::kLabel, TextShape::kFree}},
               {"text", Kind{AnswerKind::kText, TextShape::kFree}},
               {"choice", Kind{AnswerKind::kText, TextShape::kChoice}},
               {"regex", Kind{AnswerKind::kText, TextShape::kRegex}},
               {"json", Kind{AnswerKind::kText, TextShape::kJson}}},
              kind);
  std::tie(task.answer, task.shape) = kind;
  read_shape(answer, task);
  read_choice(answer, "method",
              {std::pair{"score", LabelMethod::kScore}, {"generate", LabelMethod::kGenerate}}, task.method);
  answer.read("margin_min", task.margin_min, {0, 1});
  std::vector<TomlTable> tables = answer.tables("labels");
  for (TomlTable& table : tables) read_label(table, task.labels.emplace_back());
  check_labels(tables, task.labels);

  if (task.answer == AnswerKind::kText) {
    for (const char* key : {"method", "margin_min", "labels"}) {
      if (answer.has(key)) answer.problem(key, "expected with kind = \"label\" only");
    }
  } else if (tables.size() < 2 || tables.size() > limits::kLabelsPerTaskMax) {
    answer.problem("labels", "expected 2 to " + std::to_string(limits::kLabelsPerTaskMax) +
                                 " labels, found " + std::to_string(tables.size()));
  }
}

// ---- input, decode, cache --------------------------------------------------------------------------------

void read_input(TomlTable& input, Task& task) {
  input.read<uint32_t>("tokens_max", task.input_tokens_max, {1, allowed::kInputTokensMax});
  input.read<uint32_t>("chars_max", task.input_chars_max, {0, allowed::kInputCharsMax});
  read_choice(input, "too_long",
              {std::pair{"error", TooLong::kError},
               {"cut_head", TooLong::kCutHead},
               {"cut_tail", TooLong::kCutTail},
               {"cut_middle", TooLong::kCutMiddle},
               {"split", TooLong::kSplit}},
              task.too_long);
}

// What can be said without the other tasks; TaskBook::load() says the rest.
void read_split(TomlTable& root, Task& task) {
  std::optional<TomlTable> table = root.table("split");
  if (task.too_long != TooLong::kSplit) {
    if (table) root.problem("split", "expected with input.too_long = \"split\" only");
    return;
  }
  Split& split = task.split.emplace();
  split.map = task.name;
  const bool has_mean = task.answer == AnswerKind::kLabel && task.method == LabelMethod::kScore;
  if (!table) {
    if (!has_mean) root.problem("split", "expected a section that says how the answers become one (reduce)");
    split.place = root.place();
    return;
  }
  split.place = table->place();
  table->read<uint32_t>("chars_max", split.chars_max, {allowed::kPieceCharsMin, allowed::kInputCharsMax});
  table->read<uint32_t>("tokens_max", split.tokens_max, {allowed::kPieceTokensMin, allowed::kInputTokensMax});
  table->read<uint32_t>("pieces_max", split.pieces_max, {2, allowed::kPiecesMax});
  table->read<uint32_t>("overlap_chars", split.overlap_chars, {0, allowed::kInputCharsMax});
  if (2 * uint64_t{split.overlap_chars} > split.chars_max) {
    table->problem("overlap_chars", "expected at most half of chars_max, " + std::to_string(split.chars_max) +
                                        ", found " + std::to_string(split.overlap_chars));
  }
  read_short(*table, "map", split.map, limits::kNameBytesMax);
  if (!has_mean) table->need("reduce");
  std::string reduce;
  if (read_short(*table, "reduce", reduce, limits::kNameBytesMax) && !(has_mean && reduce == "mean"))
    split.reduce = reduce;
  if (has_mean && split.reduce.empty() && split.map != task.name) {
    table->problem("map",
                   "expected none with reduce = \"mean\", which needs this task's own probabilities, found " +
                       in_quotes(split.map));
  }
}

void read_stops(TomlTable& decode, Task& task) {
  if (!decode.read("stop", task.stop)) return;
  if (task.stop.size() > limits::kStopStringsMax) {
    decode.problem("stop", "expected at most " + std::to_string(limits::kStopStringsMax) +
                               " strings, found " + std::to_string(task.stop.size()));
  }
  std::set<std::string> seen;
  for (const std::string& stop : task.stop) {
    if (stop.empty() || stop.size() > limits::kStopBytesMax) {
      decode.problem("stop", "expected strings of 1 to " + std::to_string(limits::kStopBytesMax) +
                                 " bytes, found one of " + std::to_string(stop.size()));
    } else if (!seen.insert(stop).second) {
      decode.problem("stop", "expected every string once, found " + in_quotes(stop) + " twice");
    }
    for (const Label& label : task.labels) {
      if (task.method != LabelMethod::kGenerate || stop.empty() || label.say.find(stop) == std::string::npos)
        continue;
      decode.problem("stop", "expected a string that no label says, but " + in_quotes(stop) + " would cut " +
                                 in_quotes(label.say));
    }
  }
}

void read_decode(TomlTable& decode, Task& task) {
  engine::SamplerSettings& sampler = task.sampler;
  decode.read<uint32_t>("tokens_max", task.tokens_max, {1, allowed::kTokensMax});
  read_stops(decode, task);
  decode.read("temperature", sampler.temperature, {0, allowed::kTemperatureMax});
  decode.read<uint32_t>("top_k", sampler.top_k, {0, allowed::kTopKMax});
  decode.read("top_p", sampler.top_p, {0, 1});
  decode.read("min_p", sampler.min_p, {0, 1});
  decode.read("repetition_penalty", sampler.repetition_penalty,
              {allowed::kRepetitionPenaltyMin, allowed::kRepetitionPenaltyMax});
  decode.read<uint32_t>("no_repeat_ngram", sampler.no_repeat_ngram, {0, allowed::kNoRepeatNgramMax});
  decode.read<uint64_t>("seed", sampler.seed, {0, INT64_MAX});
  decode.read("speculate", task.speculate);
  if (task.speculate && task.answer == AnswerKind::kLabel)
    decode.problem("speculate", "expected with an answer of text only");
  for (const char* key : {"stop", "no_repeat_ngram"}) {
    if (task.shape != TextShape::kFree && decode.has(key))
      decode.problem(
          key, "expected with kind = \"text\" or \"label\" only: this answer ends where its shape does");
  }
}

void read_cache(TomlTable& cache, Task& task) {
  cache.read("exact", task.cache_exact);
  int64_t ttl_s = 0;
  if (cache.read<int64_t>("ttl_s", ttl_s, {0, allowed::kCacheTtlSecondsMax})) {
    task.cache_ttl = std::chrono::seconds(ttl_s);
  }
}

bool is_task_name(std::string_view name) {
  return !name.empty() && name.size() <= limits::kNameBytesMax &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == std::string_view::npos;
}

}  // namespace

Result<Task> parse_task(std::string_view toml, const std::string& name, const std::string& place) {
  TANDEM_ASSIGN(TomlDocument document, TomlDocument::parse(toml, place));
  TomlTable root = document.root();
  Task task;
  task.name = name;
  if (!is_task_name(name)) {
    root.problem("", "expected a file name of a-z, 0-9, '-' and '_' before .toml, found " +
                         in_quotes(utf8_lossy(name)));
  }
  root.need("version");
  root.read<uint32_t>("version", task.version, {1, 1'000'000'000});
  root.read("description", task.description);

  std::optional<TomlTable> variables = root.table("variables");
  if (variables) read_variables(*variables, task);
  root.need("prompt");
  if (std::optional<TomlTable> prompt = root.table("prompt")) {
    read_prompt(*prompt, task);
    check_templates(*prompt, variables, task);
  }
  if (std::optional<TomlTable> input = root.table("input")) read_input(*input, task);
  root.need("answer");
  if (std::optional<TomlTable> answer = root.table("answer")) read_answer(*answer, task);
  read_split(root, task);
  if (task.split && task.history_turns_max > 0)
    root.problem("prompt.history_turns_max", "expected none with input.too_long = \"split\"");
  task.tokens_max = task.answer == AnswerKind::kLabel ? 10 : 128;
  if (std::optional<TomlTable> decode = root.table("decode")) read_decode(*decode, task);
  if (std::optional<TomlTable> cache = root.table("cache")) read_cache(*cache, task);

  TANDEM_TRY(document.finish());
  task.fingerprint = task_fingerprint(task);
  return task;
}

}  // namespace tandem
