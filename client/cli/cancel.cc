// tandem cancel: takes jobs back.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <set>

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

constexpr size_t kPage = 1000;

// The broker's answer about a job that was cancelled before is that of one that it cancels now, so it is
// asked first. Results of the largest size may keep a page's answer from naming all of its jobs; those that
// are left out are done.
Result<Acted> cancel_named(Client& client, const std::vector<JobId>& ids, const Act& act, Duration patience) {
  std::vector<JobId> others;
  size_t n_before = 0;
  for (size_t i = 0; i < ids.size(); i += kPage) {
    const auto begin = ids.begin() + static_cast<ptrdiff_t>(i);
    const std::vector<JobId> page(begin, begin + static_cast<ptrdiff_t>(std::min(kPage, ids.size() - i)));
    TANDEM_ASSIGN(const std::vector<FetchedItem> found, client.fetch(page, patience));
    std::set<JobId> before;
    for (const FetchedItem& item : found) {
      if (item.state == JobState::kCancelled) before.insert(item.id);
    }
    for (const JobId& id : page) {
      if (!before.contains(id)) others.push_back(id);
    }
    n_before += before.size();
  }
  TANDEM_ASSIGN(Acted acted, act_on(others, act, JobState::kCancelled));
  if (n_before > 0) acted.already[JobState::kCancelled] += n_before;
  return acted;
}

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
    if (!options.all) return cancel_named(client, *ids, act, patience);
    // To the end of the list: one that is cancelled is not in it any more, so there is an end. The
    // counts of the status are no measure: not all of them have jobs that wait for an equal one.
    List which;
    which.client = options.client;
    return act_on_all(client, which, kAllOfThem, act, patience, stop, JobState::kCancelled);
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
