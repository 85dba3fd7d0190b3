// tandem cancel: takes jobs back.

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "client/cli/act.h"
#include "client/cli/connection.h"
#include "client/cli/program.h"
#include "client/cli/width.h"

namespace tandem::cli {
namespace {

struct CancelOptions {
  std::vector<std::string> ids;
  std::string client;
  bool all = false;
  bool yes = false;
  bool json = false;
  ConnectionOptions connection;
};

constexpr const char* kExamples =
    R"(A job that a worker has is stopped. Each ends with the outcome "cancelled"; one that has an outcome keeps
it, and is counted apart.

Examples:
  tandem cancel 01890a5d-ac96-774b-bcce-b302099a8057
  tandem cancel --client shop --all --yes)";

int cancel(const CancelOptions& options, Program& program) {
  const auto stop = [&] { return program.stop.requested(); };
  const auto ids = parse_ids(options.ids);
  if (!ids) return complain("cancel", ids.error(), kUsage);
  if (options.all == !ids->empty()) {
    return complain("cancel", {ErrorCode::kInvalid, "expected ids of jobs, or --client NAME --all"}, kUsage);
  }
  if (options.all == options.client.empty()) {
    return complain("cancel", {ErrorCode::kInvalid, "expected --client and --all together"}, kUsage);
  }
  if (options.all) {
    if (auto askable = check_askable(options.yes); !askable) {
      return complain("cancel", askable.error(), kUsage);
    }
  }
  auto connection = Connection::open(options.connection, false, {}, stop);
  if (!connection) return complain("cancel", connection.error(), exit_code_of(connection.error()));
  Client& client = connection->client();
  const Duration patience = options.connection.patience;
  if (options.all && !options.yes &&
      !confirmed("Cancel all unfinished jobs of " + printable(options.client) + "?")) {
    std::cout << "nothing was cancelled\n";
    return kInterrupted;
  }
  const Act act = [&](const std::vector<JobId>& page) { return client.cancel(page, patience); };
  const auto acted = [&]() -> Result<Acted> {
    if (!options.all) return act_on(*ids, act, JobState::kCancelled);
    TANDEM_ASSIGN(const StatusReply status, client.status(patience));
    List which;
    which.client = options.client;
    const size_t n_max = status.ready + status.delayed + status.leased;
    return act_on_all(client, which, n_max, act, patience, stop, JobState::kCancelled);
  }();
  if (!acted) return complain("cancel", acted.error(), exit_code_of(acted.error()));
  return report("cancel", "cancelled", *acted, options.json);
}

}  // namespace

void add_cancel(CLI::App& app, Program& program) {
  const auto options = std::make_shared<CancelOptions>();
  CLI::App* verb = app.add_subcommand("cancel", "Take jobs back that have no outcome yet");
  verb->add_option("ID", options->ids, "The jobs");
  verb->add_option("--client", options->client, "With --all: this client's jobs")->type_name("NAME");
  verb->add_flag("--all", options->all, "All jobs of --client");
  verb->add_flag("-y,--yes", options->yes, "With --all: do not ask");
  verb->add_flag("--json", options->json, "What was done as JSON");
  add_connection_options(*verb, options->connection, false);
  verb->footer(kExamples);
  verb->callback([options, &program] { program.exit_code = cancel(*options, program); });
}

}  // namespace tandem::cli
