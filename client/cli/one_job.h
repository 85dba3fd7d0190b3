// One job from beginning to end, for the verbs that ask about a single text.

#pragma once

#include <functional>

#include "client/cli/connection.h"
#include "shared/protocol/job.h"

namespace tandem::cli {

// Submits and waits for the outcome. `on_part` hears what comes before it, if given. kCancelled after a
// signal, kUnavailable when the broker falls silent for `patience`.
Result<JobResult> do_one_job(Connection& connection, const JobRequest& request,
                             const std::function<bool()>& stop,
                             const std::function<void(const PartEvent&)>& on_part = {},
                             Duration patience = std::chrono::seconds(60));

// "😄 Positive  0.98" or the text of the answer, or what went wrong.
std::string answer_text(const TaskResult& task);

}  // namespace tandem::cli
