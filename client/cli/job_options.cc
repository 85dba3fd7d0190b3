#include "client/cli/job_options.h"

#include <CLI/CLI.hpp>

#include "shared/base/utf8.h"

namespace tandem::cli {

void add_job_options(CLI::App& app, JobOptions& options) {
  const std::string group = "Tasks";
  app.add_option("-t,--tasks,--task", options.tasks, "Tasks, done in this order")
      ->type_name("NAME,...")
      ->capture_default_str()
      ->group(group);
  app.add_option("--variable", options.variables,
                 "For a task that has variables: target=French for translate")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false)
      ->group(group);
  add_sampling_options(app, options);
}

void add_sampling_options(CLI::App& app, JobOptions& options) {
  const std::string over = "Settings over those of the task files";
  app.add_option("--max-tokens", options.max_tokens, "Longest answer")
      ->check(CLI::Range(1, 4096))
      ->group(over);
  app.add_option("--temperature", options.temperature, "0 takes the likeliest token")
      ->check(CLI::Range(0.0, 2.0))
      ->group(over);
  app.add_option("--top-k", options.top_k, "Choose among so many tokens")
      ->check(CLI::NonNegativeNumber)
      ->group(over);
  app.add_option("--top-p", options.top_p, "Choose among tokens of this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->group(over);
  app.add_option("--repetition-penalty", options.repetition_penalty, "Above 1: less of what was said already")
      ->check(CLI::NonNegativeNumber)
      ->group(over);
  app.add_option("--seed", options.seed, "Of the sampling; the same seed, the same answer")->group(over);
  app.add_option("--stop", options.stop, "The answer ends before this text")
      ->allow_extra_args(false)
      ->group(over);
}

Result<JobRequest> make_job(const JobOptions& options) {
  JobRequest job;
  std::string_view rest = options.tasks;
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    std::string_view name = rest.substr(0, comma);  // "sentiment, reply" is as good as "sentiment,reply"
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (!name.empty()) job.tasks.emplace_back(name);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  if (job.tasks.empty()) {
    return fail(ErrorCode::kInvalid, "--tasks: expected names such as sentiment,reply, found none");
  }
  for (const std::string& variable : options.variables) {
    const size_t equals = variable.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ErrorCode::kInvalid, "--variable: expected NAME=VALUE, found '" + variable + "'");
    }
    job.variables[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  job.decode.tokens_max = options.max_tokens;
  job.decode.top_k = options.top_k;
  job.decode.temperature = options.temperature;
  job.decode.top_p = options.top_p;
  job.decode.repetition_penalty = options.repetition_penalty;
  job.decode.seed = options.seed;
  if (!options.stop.empty()) job.decode.stop = options.stop;

  // Read back as the worker will, so that a wrong option is said once and not for every row.
  JobRequest probe = job;
  probe.text = "probe";
  if (auto good = decode_job_request(encode(probe)); !good) return fail(std::move(good).error());
  return job;
}

}  // namespace tandem::cli
