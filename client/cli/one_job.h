// One job from beginning to end, for the verbs that ask about a single text.

#pragma once

#include <functional>

#include "client/cli/connection.h"
#include "shared/protocol/job.h"

namespace tandem::cli {

// Submits and waits for the outcome. `on_part` hears what comes before it, if given; standard
// error is told once of a broker that has no room, and of one that has no worker. kCancelled after a signal,
// kUnavailable when the broker falls silent for `patience`.
Result<JobResult> do_one_job(Connection& connection, const JobRequest& request, const SubmitOptions& queue,
                             const std::function<bool()>& stop,
                             const std::function<void(const PartEvent&)>& on_part = {},
                             Duration patience = std::chrono::seconds(60));

// Submits and returns once the job is on the broker's disk; then nobody waits for it. Errors as above, and
// what the broker has against the job.
Result<JobId> leave_one_job(Connection& connection, const JobRequest& request, const SubmitOptions& queue,
                            const std::function<bool()>& stop, Duration patience = std::chrono::seconds(60));

// "😄 Positive  0.98" or the text of the answer, or what went wrong.
std::string answer_text(const TaskResult& task);

// A line for each task on standard output: "sentiment  😄 Positive  0.98  (model, 12 ms)".
void print_result(const JobResult& result);

}  // namespace tandem::cli
