// tandem dead: jobs that were given up. Read them, put them back, or drop them.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>

#include "client/cli/act.h"
#include "client/cli/connection.h"
#include "client/cli/one_job.h"
#include "client/cli/program.h"
#include "client/cli/queue_json.h"
#include "client/cli/queue_text.h"
#include "client/cli/table.h"
#include "client/cli/width.h"
#include "shared/base/format.h"
#include "shared/base/limits.h"

namespace tandem::cli {
namespace {

struct DeadOptions {
  std::vector<std::string> ids;
  std::string client;
  uint32_t limit = 20;
  bool all = false;
  bool yes = false;
  bool json = false;
  ConnectionOptions connection;
};

constexpr size_t kFetchAtOnce = 128;

constexpr const char* kExamples =
    R"(A job dies when its last attempt fails. It is kept, with its reason, until retention ends.

Examples:
  tandem dead ls --client shop
  tandem dead show 01890a5d-ac96-774b-bcce-b302099a8057
  tandem dead retry --all
  tandem dead drop --all --client shop --yes)";

Result<Connection> open(const DeadOptions& options, Program& program) {
  return Connection::open(options.connection, false, {}, [&] { return program.stop.requested(); });
}

int failed(const char* verb, const Error& error) {
  return complain(std::string("dead ") + verb, error, exit_code_of(error));
}

Result<std::vector<DeadJob>> list_dead(Client& client, const DeadOptions& options) {
  List which;
  which.dead = true;
  which.client = options.client;
  which.jobs_max = options.limit;
  TANDEM_ASSIGN(const std::vector<JobStatus> listed, client.list(which, options.connection.patience));
  std::vector<DeadJob> jobs;
  for (const JobStatus& job : listed) jobs.push_back({job, {}});
  for (size_t i = 0; i < jobs.size(); i += kFetchAtOnce) {
    const size_t n = std::min(kFetchAtOnce, jobs.size() - i);
    std::vector<JobId> ids;
    for (size_t j = 0; j < n; ++j) ids.push_back(jobs[i + j].status.id);
    TANDEM_ASSIGN(std::vector<FetchedItem> fetched, client.fetch(ids, options.connection.patience));
    for (size_t j = 0; j < std::min(n, fetched.size()); ++j) jobs[i + j].error = std::move(fetched[j].error);
  }
  return jobs;
}

int ls(const DeadOptions& options, Program& program) {
  auto connection = open(options, program);
  if (!connection) return failed("ls", connection.error());
  const auto jobs = list_dead(connection->client(), options);
  if (!jobs) return failed("ls", jobs.error());
  if (options.json) {
    std::cout << dead_json(*jobs) << "\n";
    return kGood;
  }
  if (jobs->empty()) {
    std::cout << "No dead jobs" << (options.client.empty() ? "" : " of " + printable(options.client))
              << ".\n";
    return kGood;
  }
  std::vector<std::vector<std::string>> rows;
  for (const DeadJob& job : *jobs) {
    rows.push_back({job.status.id.to_string(), job.status.client, std::to_string(job.status.attempt),
                    ms_text(job.status.age_ms), std::string(to_string(job.error.code)), job.error.text});
  }
  std::cout << render_table(
      {{"job", 36}, {"client", 6}, {"attempts", 0, true}, {"age", 0, true}, {"error"}, {"reason", 20}}, rows,
      terminal_width(STDOUT_FILENO, 160));
  if (jobs->size() == options.limit) std::cout << "… and perhaps more (--limit)\n";
  return kGood;
}

void print(const Inspected& found) {
  const JobStatus& job = found.job;
  const bool colours = colours_welcome(STDOUT_FILENO);
  const auto line = [&](const char* name, const std::string& value) {
    if (!value.empty()) std::cout << bold(fit_to_width(name, 10), colours) << printable(value) << "\n";
  };
  line("job", job.id.to_string());
  line("client", job.client);
  line("state", fmt::format("{}, {} attempt{}, {} old", state_text(job), job.attempt,
                            job.attempt == 1 ? "" : "s", ms_text(job.age_ms)));
  line("queued as", fmt::format("{}, priority {}, cost {}, {}", to_string(job.urgency), job.priority,
                                job.cost, bytes_text(job.payload_bytes)));
  if (!found.error.text.empty()) {
    line("error", fmt::format("{}: {}", to_string(found.error.code), found.error.text));
  }
  const auto request = decode_job_request(found.asked);
  if (!request) return line("request", "cannot be read: " + request.error().text);
  line("tasks", fmt::format("{}", fmt::join(request->tasks, ", ")));
  for (const auto& [name, value] : request->variables) line("variable", name + "=" + value);
  for (const ChatTurn& turn : request->history) line(turn.role.c_str(), turn.text);
  line("text", request->text);
  if (job.state != JobState::kDone) return;
  if (const auto result = decode_job_result(found.answered)) {
    for (const TaskResult& task : result->tasks) line(task.task.c_str(), answer_text(task));
  }
}

int show(const DeadOptions& options, Program& program) {
  const auto ids = parse_ids(options.ids);
  if (!ids) return complain("dead show", ids.error(), kUsage);
  auto connection = open(options, program);
  if (!connection) return failed("show", connection.error());
  for (const JobId& id : *ids) {
    const auto found = connection->client().inspect(id, options.connection.patience);
    if (!found) return failed("show", found.error());
    if (found->job.state == JobState::kUnknown) {
      return complain(
          "dead show",
          {ErrorCode::kNotFound, id.to_string() + ": expected a job that the broker knows, found none"},
          kSomeFailed);
    }
    if (options.json) {
      std::cout << inspected_json(*found) << "\n";
    } else {
      print(*found);
    }
  }
  return kGood;
}

AcceptedItem not_dead(const JobId& id, JobState state) {
  const std::string found =
      state == JobState::kUnknown ? "none of that id" : "one that is " + std::string(to_string(state));
  const ErrorCode code = state == JobState::kUnknown ? ErrorCode::kNotFound : ErrorCode::kInvalid;
  return {id, state, {code, "expected a dead job, found " + found}, 0};
}

// The dead ones among `ids`; what becomes of the others goes to `acted`. The broker forgets any finished job,
// so that a slip of the hand would cost a result that nobody has collected.
Result<std::vector<JobId>> dead_among(Client& client, const std::vector<JobId>& ids, bool drops,
                                      Duration patience, Acted& acted) {
  std::vector<JobId> dead;
  for (const JobId& id : ids) {
    TANDEM_ASSIGN(const Inspected found, client.inspect(id, patience));
    const JobState state = found.job.state;
    if (state == JobState::kDead) {
      dead.push_back(id);
    } else if (!drops && state != JobState::kUnknown && !is_finished(state)) {
      ++acted.already[state];
    } else {
      acted.refused.push_back(not_dead(id, state));
    }
  }
  return dead;
}

Result<Acted> act_on_named(Client& client, const std::vector<JobId>& ids, bool drops, const Act& act,
                           Duration patience) {
  Acted before;
  TANDEM_ASSIGN(const std::vector<JobId> dead, dead_among(client, ids, drops, patience, before));
  TANDEM_ASSIGN(Acted acted, act_on(dead, act));
  acted.already = std::move(before.already);
  std::move(before.refused.begin(), before.refused.end(), std::back_inserter(acted.refused));
  return acted;
}

// retry and drop: the ids that are named, or all.
int act(const char* verb, const char* done, const DeadOptions& options, Program& program) {
  const auto stop = [&] { return program.stop.requested(); };
  const bool drops = std::string_view(verb) == "drop";
  const std::string name = std::string("dead ") + verb;
  const auto ids = parse_ids(options.ids);
  if (!ids) return complain(name, ids.error(), kUsage);
  if (options.all == !ids->empty()) {
    return complain(name, {ErrorCode::kInvalid, "expected ids of dead jobs, or --all"}, kUsage);
  }
  if (drops && options.all) {
    if (auto askable = check_askable(options.yes); !askable) return complain(name, askable.error(), kUsage);
  }
  auto connection = open(options, program);
  if (!connection) return failed(verb, connection.error());
  Client& client = connection->client();
  const Duration patience = options.connection.patience;
  const Act act = [&](const std::vector<JobId>& page) {
    return drops ? client.forget(page, patience) : client.revive(page, patience);
  };
  if (!options.all) {
    const auto acted = act_on_named(client, *ids, drops, act, patience);
    return acted ? report(name, done, *acted, options.json) : failed(verb, acted.error());
  }
  const auto status = client.status(patience);
  if (!status) return failed(verb, status.error());
  const std::string whose = options.client.empty() ? std::to_string(status->dead_kept) + " dead jobs"
                                                   : "dead jobs of " + printable(options.client);
  if (drops && !options.yes && status->dead_kept > 0 && !confirmed("Drop all " + whose + "?")) {
    std::cout << "nothing was dropped\n";
    return kInterrupted;
  }
  List which;
  which.dead = true;
  which.client = options.client;
  const auto acted = act_on_all(client, which, status->dead_kept, act, patience, stop);
  return acted ? report(name, done, *acted, options.json) : failed(verb, acted.error());
}

}  // namespace

void add_dead(CLI::App& app, Program& program) {
  CLI::App* dead = app.add_subcommand("dead", "Jobs that were given up: read them, put them back, drop them");
  dead->require_subcommand(1);
  dead->footer(kExamples);
  const auto add = [&](const char* name, const char* about) {
    const auto options = std::make_shared<DeadOptions>();
    CLI::App* verb = dead->add_subcommand(name, about);
    verb->add_flag("--json", options->json, "As JSON");
    add_connection_options(*verb, options->connection, false);
    verb->footer(kExamples);
    return std::pair(verb, options);
  };
  const auto of_client = [](CLI::App* verb, DeadOptions& options) {
    verb->add_option("--client", options.client, "Of this client alone")->type_name("NAME");
  };
  const auto some_or_all = [&](CLI::App* verb, DeadOptions& options) {
    verb->add_option("ID", options.ids, "The jobs");
    verb->add_flag("--all", options.all, "All dead jobs");
    of_client(verb, options);
  };

  const auto [ls_verb, ls_options] = add("ls", "List them, in the order in which they died, with the reason");
  of_client(ls_verb, *ls_options);
  ls_verb->add_option("--limit", ls_options->limit, "List so many")
      ->check(CLI::Range(1u, static_cast<uint32_t>(limits::kItemsPerMessageMax)))
      ->capture_default_str();
  ls_verb->callback([o = ls_options, &program] { program.exit_code = ls(*o, program); });

  const auto [show_verb, show_options] = add("show", "One of them: what was asked, and what went wrong");
  show_verb->add_option("ID", show_options->ids, "The job; any job that the broker still has")->required();
  show_verb->callback([o = show_options, &program] { program.exit_code = show(*o, program); });

  const auto [retry_verb, retry_options] = add("retry", "Put them back, with all their attempts before them");
  some_or_all(retry_verb, *retry_options);
  retry_verb->callback(
      [o = retry_options, &program] { program.exit_code = act("retry", "put back", *o, program); });

  const auto [drop_verb, drop_options] = add("drop", "Forget them; what is not dead is left");
  some_or_all(drop_verb, *drop_options);
  drop_verb->add_flag("-y,--yes", drop_options->yes, "With --all: do not ask");
  drop_verb->callback(
      [o = drop_options, &program] { program.exit_code = act("drop", "dropped", *o, program); });
}

}  // namespace tandem::cli
