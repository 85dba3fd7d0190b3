// How a job waits in the queue: the options that the verbs which submit have in common.

#pragma once

#include <optional>
#include <string>

#include "client/include/tandem/client.h"

namespace CLI {
class App;
}

namespace tandem::cli {

struct QueueOptions {
  std::optional<uint32_t> priority;
  std::string urgency;  // "": the verb's own
  std::string ttl;      // as people write it: "30s"
  std::string delay;
};

// --priority and --ttl; for whole jobs, not turns of a conversation, also --urgency and --delay.
void add_queue_options(CLI::App& app, QueueOptions& options, bool whole_jobs);

// kInvalid names the option.
Result<SubmitOptions> make_submit_options(const QueueOptions& options);

// The name under which jobs that nobody waits for leave their results where no key has one: one for each
// user, "cli-ann".
std::string default_client_name();

}  // namespace tandem::cli
