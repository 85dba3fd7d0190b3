// tandem submit: one text, answered at once.

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <memory>

#include "client/cli/job_options.h"
#include "client/cli/one_job.h"
#include "client/cli/program.h"
#include "client/cli/queue_json.h"
#include "client/cli/queue_options.h"
#include "client/cli/row.h"
#include "shared/base/limits.h"
#include "shared/base/standard_output.h"
#include "shared/base/utf8.h"

namespace tandem::cli {
namespace {

struct SubmitVerbOptions {
  std::vector<std::string> words;
  bool json = false;
  bool details = false;
  bool detach = false;
  std::string client;
  std::string id;
  uint32_t attempts = 0;
  JobOptions job;
  QueueOptions queue;
  ConnectionOptions connection;
};

constexpr const char* kExamples =
    R"(Without a broker configured (--broker, --config, TANDEM_BROKER, client.toml), a private broker and
worker are started for this one text. --detach starts none: it needs a broker that runs, and goes on running.

Examples:
  tandem submit "I love it"
  tandem submit --tasks sentiment-zh "太难吃了"
  tandem submit --task translate --variable target=French "good morning" --json
  tandem submit --task summary < article.txt
  tandem submit --detach --priority 2 --ttl 1h "no hurry"      prints the job's id; then:
  tandem result ID                                             or: tandem results
  tandem submit --detach --id $ID "once"     said again, because nobody knows whether it arrived: still one job)";

Result<std::string> read_stdin() {
  if (::isatty(STDIN_FILENO) != 0) std::cerr << "(reading a text from standard input, until Ctrl-D)\n";
  std::string text;
  char buffer[65536];
  for (;;) {
    // poll() first, because read() is started again after a signal and poll() is not.
    pollfd waiting{STDIN_FILENO, POLLIN, 0};
    if (::poll(&waiting, 1, -1) < 0 && errno == EINTR) return fail(ErrorCode::kCancelled, "interrupted");
    const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (n < 0) return fail(ErrorCode::kIo, "cannot read standard input");
    if (n == 0) break;
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > limits::kTextBytesMax) {
      return fail(ErrorCode::kTooLong, "expected a text of at most " + std::to_string(limits::kTextBytesMax) +
                                           " bytes, found a longer one");
    }
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

// A job that the broker knows is not made again, whatever is asked under its id now. Who says one id for two
// texts is told; the exit code is that of the job.
void tell_if_known(Client& client, const JobRequest& job, const JobId& id, Duration patience) {
  const auto found = client.inspect(id, patience);
  if (!found || found->job.state == JobState::kUnknown) return;
  const auto asked = decode_job_request(found->asked);
  std::fprintf(stderr, "tandem submit: job %s is known already, %s; %s\n", id.to_string().c_str(),
               std::string(to_string(found->job.state)).c_str(),
               asked && !(*asked == job)
                   ? "it asks for something else, and what is asked now is not submitted"
                   : "it is not submitted again");
}

int leave(Connection& connection, const JobRequest& job, const SubmitOptions& queue, bool json,
          const std::function<bool()>& stop) {
  const auto id = leave_one_job(connection, job, queue, stop);
  if (!id) {
    const int code = exit_code_of(id.error());
    return complain("submit", id.error(), code == kUsage ? kSomeFailed : code);
  }
  std::cout << (json ? id_json(*id) : id->to_string()) << "\n";
  const auto written = flush_standard_output();
  if (written) return kGood;
  return complain(
      "submit",
      {written.error().code, written.error().text + "; the job is in the queue: " + id->to_string()},
      kBroken);
}

int submit(const SubmitVerbOptions& options, Program& program) {
  auto job = make_job(options.job);
  if (!job) return complain("submit", job.error(), kUsage);
  auto queue = make_submit_options(options.queue);
  if (!queue) return complain("submit", queue.error(), kUsage);
  queue->attempts_max = options.attempts;
  if (!options.id.empty()) {
    const auto id = JobId::parse(options.id);
    if (!id) return complain("submit", {id.error().code, "--id: " + id.error().text}, kUsage);
    queue->id = *id;
  }
  for (const std::string& word : options.words) job->text += (job->text.empty() ? "" : " ") + word;
  if (options.words.empty()) {
    auto text = read_stdin();
    if (!text) return complain("submit", text.error(), exit_code_of(text.error()));
    job->text = std::move(*text);
  }
  if (auto valid = check_utf8(job->text); !valid) return complain("submit", valid.error(), kUsage);
  if (job->text.empty())
    return complain("submit", {ErrorCode::kInvalid, "expected a text, found none"}, kUsage);

  const auto stop = [&] { return program.stop.requested(); };
  ClientOptions client;
  client.urgency = options.detach ? Urgency::kBulk : Urgency::kInteractive;
  client.name = options.client;
  client.acknowledge = !options.detach;  // nobody has seen the result
  ConnectionOptions broker = options.connection;
  if (options.detach) broker.name_without_key = default_client_name();
  auto connection = Connection::open(broker, !options.detach, client, stop);
  if (!connection) return complain("submit", connection.error(), exit_code_of(connection.error()));
  if (queue->id) tell_if_known(connection->client(), *job, *queue->id, broker.patience);
  if (options.detach) return leave(*connection, *job, *queue, options.json, stop);
  const auto result = do_one_job(*connection, *job, *queue, stop);
  if (options.json) {
    std::cout << results_json(result, {options.details}) << "\n";
  } else if (result) {
    print_result(*result);
  }
  if (!result) {
    int code = exit_code_of(result.error());
    if (code == kInterrupted && !stop()) code = kSomeFailed;  // somebody else cancelled it
    return options.json ? (code == kUsage ? kSomeFailed : code)
                        : complain("submit", result.error(), code == kUsage ? kSomeFailed : code);
  }
  for (const TaskResult& task : result->tasks) {
    if (task.error) return kSomeFailed;
  }
  return kGood;
}

}  // namespace

void add_submit(CLI::App& app, Program& program) {
  const auto options = std::make_shared<SubmitVerbOptions>();
  CLI::App* verb = app.add_subcommand("submit", "One text, answered at once or left in the queue");
  verb->add_option("TEXT", options->words, "The text; without it standard input is read");
  verb->add_flag("--json", options->json, "The results as JSON");
  verb->add_flag("--details", options->details, "In JSON also scores, versions, fingerprints and worker");
  verb->add_flag("--detach", options->detach,
                 "Print the job's id once it is accepted, and do not wait for the answer");
  verb->add_option(
          "--client", options->client,
          "Name under which the result is kept [the key's; without one its own, and with --detach cli-USER]")
      ->type_name("NAME");
  verb->add_option(
      "--id", options->id,
      "The job's id, such as that of uuidgen; a job that the broker knows is not made again, whatever its "
      "text: that is said, and what came of it is the answer [a new one]");
  verb->add_option("--attempts", options->attempts, "Give up after so many [the broker's]")
      ->check(CLI::Range(uint32_t{1}, static_cast<uint32_t>(limits::kAttemptsMax)));
  add_job_options(*verb, options->job);
  add_queue_options(*verb, options->queue, true);
  add_connection_options(*verb, options->connection, true);
  verb->footer(kExamples);
  verb->callback([options, &program] { program.exit_code = submit(*options, program); });
}

}  // namespace tandem::cli
