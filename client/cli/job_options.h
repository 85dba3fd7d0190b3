// The options of a job that several verbs have: which tasks, and settings over those of the task files.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "shared/protocol/job.h"

namespace CLI {
class App;
}

namespace tandem::cli {

struct JobOptions {
  std::string tasks = "sentiment,reply";
  std::vector<std::string> variables;  // NAME=VALUE
  std::optional<uint32_t> max_tokens, top_k;
  std::optional<double> temperature, top_p, repetition_penalty;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
};

void add_job_options(CLI::App& app, JobOptions& options);
// Only those over the task files' settings.
void add_sampling_options(CLI::App& app, JobOptions& options);

// A job without its text. kInvalid names the option.
Result<JobRequest> make_job(const JobOptions& options);

}  // namespace tandem::cli
