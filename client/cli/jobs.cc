// tandem jobs: what a broker is doing.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/cli/connection.h"
#include "client/cli/program.h"
#include "client/cli/progress.h"
#include "client/cli/table.h"
#include "client/cli/width.h"
#include "shared/base/format.h"

namespace tandem::cli {
namespace {

struct JobsOptions {
  uint32_t limit = 20;
  bool json = false;
  ConnectionOptions connection;
};

constexpr const char* kExamples = R"(Examples:
  tandem jobs
  tandem jobs --broker /run/tandem --limit 100
  tandem jobs --json | jq .ready)";

std::string to_json(const StatusReply& status, const std::vector<JobStatus>& listed) {
  using Json = nlohmann::ordered_json;
  Json out = {{"ready", status.ready},
              {"leased", status.leased},
              {"finished_kept", status.finished_kept},
              {"accepted_total", status.accepted_total},
              {"finished_total", status.finished_total},
              {"failed_total", status.failed_total},
              {"redelivered_total", status.redelivered_total},
              {"uptime_ms", status.uptime_ms},
              {"workers", Json::array()},
              {"jobs", Json::array()}};
  for (const WorkerStatus& worker : status.workers) {
    out["workers"].push_back({{"name", worker.name},
                              {"host", worker.host},
                              {"model", worker.model},
                              {"credit_max", worker.credit_max},
                              {"leased", worker.leased},
                              {"finished", worker.finished}});
  }
  for (const JobStatus& job : listed) {
    out["jobs"].push_back({{"id", job.id.to_string()},
                           {"client", job.client},
                           {"state", to_string(job.state)},
                           {"attempt", job.attempt},
                           {"age_ms", job.age_ms},
                           {"worker", job.worker}});
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
}

void print(const StatusReply& status, const std::vector<JobStatus>& listed) {
  const size_t width = terminal_width(STDOUT_FILENO, 120);
  std::cout << fmt::format(
      "{} ready, {} with workers, {} finished ({} of them failed), {} sent out again; up {}\n", status.ready,
      status.leased, status.finished_total, status.failed_total, status.redelivered_total,
      duration_text(static_cast<double>(status.uptime_ms) / 1000));
  std::vector<std::vector<std::string>> rows;
  for (const WorkerStatus& worker : status.workers) {
    rows.push_back({worker.name, worker.host, worker.model.substr(0, 12),
                    fmt::format("{}/{}", worker.leased, worker.credit_max), std::to_string(worker.finished)});
  }
  if (rows.empty()) {
    std::cout << "\nNo workers. Start one: tandem-worker\n";
  } else {
    std::cout << "\n"
              << render_table({{"worker"}, {"host"}, {"model"}, {"jobs", 0, true}, {"finished", 0, true}},
                              rows, width);
  }
  rows.clear();
  for (const JobStatus& job : listed) {
    rows.push_back({job.id.to_string(), job.client, std::string(to_string(job.state)),
                    std::to_string(job.attempt), duration_text(static_cast<double>(job.age_ms) / 1000),
                    job.worker});
  }
  if (rows.empty()) return;
  std::cout
      << "\n"
      << render_table(
             {{"job", 36}, {"client", 8}, {"state"}, {"attempt", 0, true}, {"age", 0, true}, {"worker", 8}},
             rows, width);
  const uint64_t n_unfinished = status.ready + status.leased;
  if (rows.size() < n_unfinished) std::cout << "… and " << n_unfinished - rows.size() << " more (--limit)\n";
}

int jobs(const JobsOptions& options, Program& program) {
  auto connection = Connection::open(options.connection, false, 16, [&] { return program.stop.requested(); });
  if (!connection) return complain("jobs", connection.error(), exit_code_of(connection.error()));
  const auto status = connection->client().status(options.connection.patience);
  if (!status) return complain("jobs", status.error(), exit_code_of(status.error()));
  List which;
  which.jobs_max = options.limit;
  const auto listed = connection->client().list(which, options.connection.patience);
  if (!listed) return complain("jobs", listed.error(), exit_code_of(listed.error()));
  if (options.json) {
    std::cout << to_json(*status, *listed) << "\n";
  } else {
    print(*status, *listed);
  }
  return kGood;
}

}  // namespace

void add_jobs(CLI::App& app, Program& program) {
  const auto options = std::make_shared<JobsOptions>();
  CLI::App* verb =
      app.add_subcommand("jobs", "What a broker is doing: its workers, and jobs without an outcome");
  verb->add_option("--limit", options->limit, "List so many jobs, oldest first")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  verb->add_flag("--json", options->json, "All of it as JSON");
  add_connection_options(*verb, options->connection, false);
  verb->footer(kExamples);
  verb->callback([options, &program] { program.exit_code = jobs(*options, program); });
}

}  // namespace tandem::cli
