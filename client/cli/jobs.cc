// tandem jobs: what a broker is doing.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "client/cli/connection.h"
#include "client/cli/program.h"
#include "client/cli/queue_json.h"
#include "client/cli/queue_text.h"
#include "client/cli/width.h"
#include "shared/base/limits.h"

namespace tandem::cli {
namespace {

struct JobsOptions {
  uint32_t limit = 20;
  std::string client;
  bool dead = false;
  bool json = false;
  ConnectionOptions connection;
};

constexpr const char* kExamples = R"(Examples:
  tandem jobs
  tandem jobs --client shop --limit 100
  tandem jobs --dead
  tandem jobs --json | jq .ready)";

void print(const JobsOptions& options, const StatusReply& status, const std::vector<JobStatus>& listed) {
  const size_t width = terminal_width(STDOUT_FILENO, 140);
  std::cout << summary_text(status) << "\n" << workers_table(status.workers, width);
  if (!status.clients.empty()) std::cout << "\n" << clients_table(status.clients, width);
  if (options.limit == 0) return;
  const std::string what = options.dead ? "dead jobs" : "unfinished jobs";
  const std::string whose = options.client.empty() ? "" : " of " + printable(options.client);
  if (listed.empty()) {
    std::cout << "\nNo " << what << whose << ".\n";
    return;
  }
  std::cout << "\n" << jobs_table(listed, width);
  const uint64_t n_all = options.dead ? status.dead_kept : status.ready + status.delayed + status.leased;
  if (!options.client.empty()) {
    if (listed.size() == options.limit) std::cout << "… and perhaps more (--limit)\n";
  } else if (listed.size() < n_all) {
    std::cout << "… and " << n_all - listed.size() << " more (--limit)\n";
  }
}

int jobs(const JobsOptions& options, Program& program) {
  const auto failed = [](const Error& error) { return complain("jobs", error, exit_code_of(error)); };
  auto connection = Connection::open(options.connection, false, {}, [&] { return program.stop.requested(); });
  if (!connection) return failed(connection.error());
  const Duration patience = options.connection.patience;
  const auto status = connection->client().status(patience);
  if (!status) return failed(status.error());
  std::vector<JobStatus> listed;
  if (options.limit > 0) {
    List which;
    which.dead = options.dead;
    which.client = options.client;
    which.jobs_max = options.limit;
    auto answer = connection->client().list(which, patience);
    if (!answer) return failed(answer.error());
    listed = std::move(*answer);
  }
  if (options.json) {
    std::cout << status_json(*status, &listed) << "\n";
  } else {
    print(options, *status, listed);
  }
  return kGood;
}

}  // namespace

void add_jobs(CLI::App& app, Program& program) {
  const auto options = std::make_shared<JobsOptions>();
  CLI::App* verb =
      app.add_subcommand("jobs", "What a broker is doing: its workers, clients, and jobs without an outcome");
  verb->add_option("--limit", options->limit, "List so many jobs, oldest first")
      ->check(CLI::Range(0u, static_cast<uint32_t>(limits::kItemsPerMessageMax)))
      ->capture_default_str();
  verb->add_option("--client", options->client, "List jobs of this client alone")->type_name("NAME");
  verb->add_flag("--dead", options->dead, "List the jobs that were given up (`tandem dead` tells more)");
  verb->add_flag("--json", options->json, "All of it as JSON");
  add_connection_options(*verb, options->connection, false);
  verb->footer(kExamples);
  verb->callback([options, &program] { program.exit_code = jobs(*options, program); });
}

}  // namespace tandem::cli
