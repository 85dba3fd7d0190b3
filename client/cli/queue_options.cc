#include "client/cli/queue_options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "shared/base/limits.h"
#include "shared/config/config_reader.h"

namespace tandem::cli {
namespace {

Result<Duration> parse_time(const char* option, const std::string& text) {
  if (text.empty()) return Duration{};
  const auto time = parse_duration(text);
  if (!time) return fail_in(option, time.error());
  if (static_cast<uint64_t>(time->count()) > limits::kDelayMsMax) {
    return fail(ErrorCode::kInvalid, std::string(option) + ": expected at most a year, found " + text);
  }
  return *time;
}

}  // namespace

void add_queue_options(CLI::App& app, QueueOptions& options, bool whole_jobs) {
  const std::string group = "Queue";
  app.add_option("--priority", options.priority, "0 to 9, larger is sooner [4]")
      ->check(CLI::Range(0u, uint32_t{kPriorityMax}))
      ->group(group);
  app.add_option("--ttl", options.ttl, "Give up when there is no answer after so long, such as 30s or 2h")
      ->type_name("TIME")
      ->group(group);
  if (!whole_jobs) return;
  app.add_option("--urgency", options.urgency, "interactive goes before bulk")
      ->check(CLI::IsMember({"interactive", "bulk"}))
      ->group(group);
  app.add_option("--delay", options.delay, "Begin only after so long, such as 10min")
      ->type_name("TIME")
      ->group(group);
}

Result<SubmitOptions> make_submit_options(const QueueOptions& options) {
  SubmitOptions submit;
  if (options.priority) submit.priority = static_cast<uint8_t>(*options.priority);
  if (!options.urgency.empty()) {
    submit.urgency = options.urgency == "bulk" ? Urgency::kBulk : Urgency::kInteractive;
  }
  TANDEM_ASSIGN(submit.ttl, parse_time("--ttl", options.ttl));
  TANDEM_ASSIGN(submit.delay, parse_time("--delay", options.delay));
  if (submit.ttl > Duration{} && submit.delay >= submit.ttl) {
    return fail(ErrorCode::kInvalid, "--ttl: expected more than the --delay of " + options.delay +
                                         ", found " + options.ttl + ": the job would never begin");
  }
  return submit;
}

std::string default_client_name() {
  const char* user = std::getenv("USER");
  std::string name = "cli-";
  if (user == nullptr || *user == '\0') return name + std::to_string(::getuid());
  for (const char* c = user; *c != '\0' && name.size() < limits::kNameBytesMax; ++c) {
    name += *c == '/' || static_cast<unsigned char>(*c) <= 0x20 || *c == 0x7f ? '-' : *c;
  }
  return name;
}

}  // namespace tandem::cli
