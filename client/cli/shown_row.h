// A line of a run's output, as `tandem show` has it in its table.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace tandem::cli {

struct ShownRow {
  std::string text;
  std::string label;  // of the first task with a label; all of them, "a / b", if there are more
  std::string probability;
  std::string reply;                              // of the tasks with a text; or what went wrong
  std::string source;                             // "exact", or "exact/model" where tasks differ
  std::string time;                               // milliseconds on the worker
  uint64_t prompt_tokens = 0, cached_tokens = 0;  // of all tasks that the model answered
  bool failed = false;
  bool cached = false;
};

// kInvalid when it is no JSON object with "results" or "error".
Result<ShownRow> read_shown_row(std::string_view line);

}  // namespace tandem::cli
