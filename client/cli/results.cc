// tandem results, tandem result: what came of jobs that nobody waited for.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <memory>

#include "client/cli/act.h"
#include "client/cli/connection.h"
#include "client/cli/one_job.h"
#include "client/cli/program.h"
#include "client/cli/queue_json.h"
#include "client/cli/queue_options.h"
#include "client/cli/queue_text.h"
#include "client/cli/table.h"
#include "client/cli/width.h"
#include "shared/base/limits.h"
#include "shared/config/config_reader.h"

namespace tandem::cli {
namespace {

struct ResultsOptions {
  std::string id;
  std::string client;
  uint32_t limit = 100;
  bool ack = false;
  bool no_wait = false;
  std::string at_most;
  bool json = false;
  bool details = false;
  ConnectionOptions connection;
};

constexpr Duration kAskEvery = milliseconds(200);

constexpr const char* kResultsExamples = R"(Examples:
  tandem results
  tandem results --client shop --json | jq -r .results.reply.text
  tandem results --ack                    shows all, and the broker need not keep them for you)";

constexpr const char* kResultExamples = R"(Examples:
  tandem result $(tandem submit --detach --task summary < article.txt)
  tandem result 01890a5d-ac96-774b-bcce-b302099a8057 --at-most 10min
  tandem result 01890a5d-ac96-774b-bcce-b302099a8057 --no-wait --json)";

std::string answers(const FetchedItem& item) {
  const auto result = outcome_of(item);
  if (!result) return "error (" + std::string(to_string(result.error().code)) + "): " + result.error().text;
  std::string text;
  for (const TaskResult& task : result->tasks) {
    text += (text.empty() ? "" : " | ") + task.task + ": " + answer_text(task);
  }
  return text;
}

void print(const std::vector<FetchedItem>& items, const ResultsOptions& options) {
  if (options.json) {
    for (const FetchedItem& item : items) std::cout << fetched_json(item, options.details) << "\n";
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const FetchedItem& item : items) {
    rows.push_back({item.id.to_string(), std::string(to_string(item.state)), answers(item)});
  }
  std::cout << render_table({{"job", 36}, {"state"}, {"answer", 20}}, rows,
                            terminal_width(STDOUT_FILENO, 160));
}

// What is acknowledged may be forgotten, so it must have been written. Also kIo: nobody reads the pipe.
Result<void> check_shown() {
  std::cout.flush();
  if (std::cout && std::ferror(stderr) == 0) return {};
  return fail(ErrorCode::kIo, "cannot write to standard output; not acknowledged");
}

int results(const ResultsOptions& options, Program& program) {
  const auto stop = [&] { return program.stop.requested(); };
  const auto failed = [](const Error& error) { return complain("results", error, exit_code_of(error)); };
  ClientOptions wanted;
  wanted.name = options.client;
  wanted.looks_after = true;
  auto connection = Connection::open(options.connection, false, wanted, stop);
  if (!connection) return failed(connection.error());
  Client& client = connection->client();
  size_t n_shown = 0;
  while (!stop()) {
    const auto items = client.collect(options.limit, options.connection.patience);
    if (!items) return failed(items.error());
    if (items->empty()) break;
    print(*items, options);
    n_shown += items->size();
    if (!options.ack) {
      if (items->size() == options.limit)
        std::cerr << "… and perhaps more (--limit; --ack goes through all)\n";
      break;
    }
    std::vector<JobId> ids;
    for (const FetchedItem& item : *items) ids.push_back(item.id);
    if (const auto shown = check_shown(); !shown) return complain("results", shown.error(), kBroken);
    client.acknowledge(ids);
  }
  if (n_shown == 0 && !options.json) {
    std::cout << "Nothing to collect for " << printable(client.name())
              << ". (tandem submit --detach leaves results; --client names another)\n";
  }
  return stop() ? kInterrupted : kGood;
}

int result(const ResultsOptions& options, Program& program) {
  const auto stop = [&] { return program.stop.requested(); };
  const auto failed = [](const Error& error) { return complain("result", error, exit_code_of(error)); };
  const auto id = JobId::parse(options.id);
  if (!id) return complain("result", id.error(), kUsage);
  Duration at_most = Duration::max();
  if (!options.at_most.empty()) {
    const auto time = parse_duration(options.at_most);
    if (!time) return complain("result", {time.error().code, "--at-most: " + time.error().text}, kUsage);
    at_most = *time;
  }
  ClientOptions wanted;
  wanted.name = options.client;
  wanted.looks_after = true;
  auto connection = Connection::open(options.connection, false, wanted, stop);
  if (!connection) return failed(connection.error());
  Client& client = connection->client();

  const SystemClock clock;
  const TimePoint begin = clock.now();
  for (;;) {
    const auto fetched = client.fetch({*id}, options.connection.patience);
    if (!fetched) return failed(fetched.error());
    const FetchedItem item = fetched->empty() ? FetchedItem{} : fetched->front();
    if (item.state == JobState::kUnknown) {
      return complain("result",
                      {ErrorCode::kNotFound,
                       id->to_string() + ": expected a job that the broker knows, found none (results are "
                                         "kept for a while only)"},
                      kSomeFailed);
    }
    const bool last = is_finished(item.state) || options.no_wait || clock.now() - begin >= at_most;
    if (!last) {
      (void)client.wait(kAskEvery);
      if (stop()) return kInterrupted;
      continue;
    }
    if (options.json) {
      std::cout << fetched_json(item, options.details) << "\n";
    } else if (!is_finished(item.state)) {
      return complain(
          "result", {ErrorCode::kTimeout, "no result yet: the job is " + std::string(to_string(item.state))},
          kSomeFailed);
    }
    if (!is_finished(item.state)) return kSomeFailed;
    const auto outcome = outcome_of(item);
    if (!outcome && !options.json) complain("result", outcome.error(), kSomeFailed);
    if (outcome && !options.json) print_result(*outcome);
    if (options.ack) {
      if (const auto shown = check_shown(); !shown) return complain("result", shown.error(), kBroken);
      client.acknowledge({*id});
    }
    return outcome ? kGood : kSomeFailed;
  }
}

void add_common(CLI::App& verb, ResultsOptions& options) {
  options.connection.name_without_key = default_client_name();
  verb.add_option("--client", options.client,
                  "Name under which the jobs were submitted [the key's, or " +
                      options.connection.name_without_key + "]; with an admin's key anybody's")
      ->type_name("NAME");
  verb.add_flag("--ack", options.ack, "Shown is enough: the broker need not keep it to be collected");
  verb.add_flag("--json", options.json, "A line of JSON for each job");
  verb.add_flag("--details", options.details, "In JSON also scores, versions, fingerprints and worker");
  add_connection_options(verb, options.connection, false);
}

}  // namespace

void add_results(CLI::App& app, Program& program) {
  const auto many = std::make_shared<ResultsOptions>();
  CLI::App* verb = app.add_subcommand("results", "What came of your jobs and was not collected yet");
  verb->add_option("--limit", many->limit, "So many, or with --ack so many at a time")
      ->check(CLI::Range(1u, static_cast<uint32_t>(limits::kItemsPerMessageMax)))
      ->capture_default_str();
  add_common(*verb, *many);
  verb->footer(kResultsExamples);
  verb->callback([many, &program] { program.exit_code = results(*many, program); });

  const auto one = std::make_shared<ResultsOptions>();
  verb = app.add_subcommand("result", "What came of one job; waits until it is finished");
  verb->add_option("ID", one->id, "The job")->required();
  auto* no_wait = verb->add_flag("--no-wait", one->no_wait, "Say how it stands now");
  verb->add_option("--at-most", one->at_most, "Wait no longer than this, such as 30s")
      ->type_name("TIME")
      ->excludes(no_wait);
  add_common(*verb, *one);
  verb->footer(kResultExamples);
  verb->callback([one, &program] { program.exit_code = result(*one, program); });
}

}  // namespace tandem::cli
