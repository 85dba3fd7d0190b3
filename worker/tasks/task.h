// A task: a prompt, an answer shape, decoding settings and a cache policy, as its TOML file says. The format
// is described in configs/tasks/README.md. Plain data, immutable after loading.

#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/result.h"
#include "worker/engine/constraint/grammar.h"
#include "worker/engine/sampler/sampler.h"

namespace tandem {

// `say` is what the model answers; `id` is what users get.
struct Label {
  std::string id;
  std::string say;
  std::string display;
  std::vector<std::string> aliases;  // further spellings, for generated answers: "pos", "正面"
};

enum class VariableType : uint8_t { kString, kInteger };
struct Variable {
  VariableType type = VariableType::kString;
  std::optional<std::string> default_value;  // none: the job must give it
  std::vector<std::string> choices;          // of a string; empty: any
  size_t chars_max = 200;                    // of a string
  int64_t min = INT64_MIN, max = INT64_MAX;  // of an integer
};
// What is wrong with `value`, as "expected ..., found ..."; "" when it fits.
std::string mismatch(const Variable& variable, const std::string& value);

// What becomes of a text that is too long: it is refused, loses its beginning, its end or its middle, or is
// done in pieces (Split).
enum class TooLong : uint8_t { kError, kCutHead, kCutTail, kCutMiddle, kSplit };
enum class AnswerKind : uint8_t { kLabel, kText };
enum class LabelMethod : uint8_t { kScore, kGenerate };
// What a text answer is held to, token by token.
enum class TextShape : uint8_t { kFree, kChoice, kRegex, kJson };

// How a text is done that is too long: each piece goes to one task (map), the answers go to another (reduce).
struct Split {
  uint32_t chars_max = 10'000;  // of a piece, its overlap included
  uint32_t tokens_max = 0;      // the same; 0: as the map task's input has it
  uint32_t overlap_chars = 0;
  uint32_t pieces_max = 1000;
  std::string map;     // another task, whose own split has no part in this, or the task itself
  std::string reduce;  // the same; "" is the weighted mean of the pieces' probabilities, of scored labels
  std::string place;   // "summary.toml:12", for mistakes
  // Of everything that changes the answer for a long text: the task, map and reduce, the settings above. Made
  // by TaskBook::load(), which knows the other tasks.
  std::string fingerprint;
};

struct Task {
  std::string name;  // file name without .toml
  uint32_t version = 1;
  std::string description;

  // Prompt. `{text}` (once, in `user`) and `{variable}` in `system` and `user` are replaced; "{{" and "}}"
  // are braces. An example's user side goes through `user` as a text does.
  std::string system;
  std::string user = "{text}";
  std::vector<std::pair<std::string, std::string>> examples;  // user, assistant
  uint32_t history_turns_max = 0;                             // messages, the user's and the assistant's
  std::map<std::string, Variable> variables;

  uint32_t input_tokens_max = 1024;  // of the user's text
  uint32_t input_chars_max = 0;      // the same, 0: no limit
  TooLong too_long = TooLong::kError;
  std::optional<Split> split;  // of TooLong::kSplit

  AnswerKind answer = AnswerKind::kText;
  LabelMethod method = LabelMethod::kScore;
  std::vector<Label> labels;
  double margin_min = 0;  // below: abstain

  TextShape shape = TextShape::kFree;
  std::vector<std::string> choices;                // of kChoice
  std::string pattern;                             // of kRegex
  std::string schema;                              // of kJson; "": any JSON
  std::shared_ptr<const engine::Grammar> grammar;  // made from these; none for a free text

  uint32_t tokens_max = 128;
  std::vector<std::string> stop;
  engine::SamplerSettings sampler;
  bool speculate = false;  // guess that the answer copies from the prompt: faster or slower, never different

  bool cache_exact = true;
  std::chrono::seconds cache_ttl{0};  // 0: for ever

  std::string fingerprint;  // hash of all of the above that changes an answer, hex: task_fingerprint()
};
// Without `split`, which changes nothing for a text that is not too long.
std::string task_fingerprint(const Task& task);

// One task file. `name` is the task's, `place` stands in front of every mistake ("configs/tasks/reply.toml").
// kInvalid with all mistakes, one a line.
Result<Task> parse_task(std::string_view toml, const std::string& name, const std::string& place);

// All tasks of a folder. Immutable and shared: a reload makes a new one.
class TaskBook {
 public:
  // Reads every *.toml in `folder`. All mistakes of all files in one error (kInvalid), each with file and
  // line; those between files (a split names a task that there is not) when the files alone are good. An
  // empty folder is an error, a missing one kNotFound.
  static Result<std::shared_ptr<const TaskBook>> load(const std::filesystem::path& folder);

  // kNotFound lists the tasks there are and the nearest name.
  Result<const Task*> find(const std::string& name) const;
  const std::map<std::string, Task>& tasks() const { return tasks_; }

 private:
  std::map<std::string, Task> tasks_;
};

}  // namespace tandem
