// tandem drain: a worker or host gets no more jobs.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "client/cli/connection.h"
#include "client/cli/program.h"
#include "client/cli/queue_json.h"
#include "client/cli/queue_text.h"
#include "client/cli/width.h"

namespace tandem::cli {
namespace {

struct DrainOptions {
  std::string name;
  bool undo = false;
  bool json = false;
  ConnectionOptions connection;
};

constexpr const char* kExamples = R"(What the worker has it finishes; `tandem jobs` shows when that is done.

Examples:
  tandem drain gpu-3
  tandem drain gpu-3 --undo)";

int drain(const DrainOptions& options, Program& program) {
  auto connection = Connection::open(options.connection, false, {}, [&] { return program.stop.requested(); });
  if (!connection) return complain("drain", connection.error(), exit_code_of(connection.error()));
  auto status = connection->client().drain(options.name, !options.undo, options.connection.patience);
  if (!status) return complain("drain", status.error(), exit_code_of(status.error()));
  std::erase_if(status->workers, [&](const WorkerStatus& worker) {
    return worker.name != options.name && worker.host != options.name;
  });
  if (options.json) {
    std::cout << status_json(*status) << "\n";
  } else {
    std::cout << workers_table(status->workers, terminal_width(STDOUT_FILENO, 140));
  }
  return kGood;
}

}  // namespace

void add_drain(CLI::App& app, Program& program) {
  const auto options = std::make_shared<DrainOptions>();
  CLI::App* verb = app.add_subcommand("drain", "Give a worker, or all of a host, no more jobs");
  verb->add_option("NAME", options->name, "A worker or a host, as in `tandem jobs`")->required();
  verb->add_flag("--undo", options->undo, "Give it jobs again");
  verb->add_flag("--json", options->json, "The broker's status, with these workers alone, as JSON");
  add_connection_options(*verb, options->connection, false);
  verb->footer(kExamples);
  verb->callback([options, &program] { program.exit_code = drain(*options, program); });
}

}  // namespace tandem::cli
