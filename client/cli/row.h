// A line of input read as a job, and the line of output that comes of it. JSON on both sides (README.md has
// the fields).

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "shared/protocol/job.h"

namespace tandem::cli {

struct InputRow {
  size_t line = 0;
  // The line's own fields as JSON text, `{"id":...,...}`, or `{"line":n}` when it could not be read.
  std::string fields;
  // What to ask, or what is wrong with the line.
  Result<JobRequest> request = fail(ErrorCode::kInternal, "not read");
};

// `defaults` has the tasks, options and variables that the line may replace. Never fails: a bad line is a row
// with an error in it.
InputRow parse_row(std::string_view text, size_t line, const JobRequest& defaults);
// A row for a line that cannot even be held.
InputRow unreadable_row(size_t line, Error error);

struct RowStyle {
  bool details = false;  // versions, fingerprints, batch size and worker, too
};

// What a row came to, for counting.
struct RowOutcome {
  std::string text;       // one line of JSON, without the line end
  bool failed = false;    // an error, of the job or of one of its tasks
  bool cached = false;    // every answer came from a cache
  uint64_t n_tokens = 0;  // through the model: prompt and answers
};
RowOutcome render_row(const InputRow& row, const Result<JobResult>& result, const RowStyle& style);

// {"results": {...}} or {"error": {...}} alone, for --json of other verbs.
std::string results_json(const Result<JobResult>& result, const RowStyle& style);

}  // namespace tandem::cli
