// tandem submit: one text, answered at once.

#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <iostream>
#include <memory>

#include "client/cli/job_options.h"
#include "client/cli/one_job.h"
#include "client/cli/program.h"
#include "client/cli/row.h"
#include "client/cli/width.h"
#include "shared/base/format.h"
#include "shared/base/limits.h"
#include "shared/base/utf8.h"

namespace tandem::cli {
namespace {

struct SubmitVerbOptions {
  std::vector<std::string> words;
  bool json = false;
  bool details = false;
  JobOptions job;
  ConnectionOptions connection;
};

constexpr const char* kExamples = R"(Examples:
  tandem submit "I love it"
  tandem submit --tasks sentiment-zh "太难吃了"
  tandem submit --task translate --variable target=French "good morning" --json
  tandem submit --task summary < article.txt)";

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

void print(const JobResult& result) {
  const bool colours = colours_welcome(STDOUT_FILENO);
  size_t width = 0;
  for (const TaskResult& task : result.tasks) width = std::max(width, display_width(task.task));
  for (const TaskResult& task : result.tasks) {
    std::cout << bold(fit_to_width(task.task, width), colours) << "  " << answer_text(task);
    if (!task.error) {
      std::cout << "  "
                << dim(fmt::format("({}, {:.0f} ms)", to_string(task.source),
                                   static_cast<double>(task.timings.total_us) / 1000),
                       colours);
    }
    std::cout << "\n";
  }
}

int submit(const SubmitVerbOptions& options, Program& program) {
  auto job = make_job(options.job);
  if (!job) return complain("submit", job.error(), kUsage);
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
  auto connection = Connection::open(options.connection, true, 16, stop);
  if (!connection) return complain("submit", connection.error(), exit_code_of(connection.error()));
  const auto result = do_one_job(*connection, *job, stop);
  if (options.json) {
    std::cout << results_json(result, {options.details}) << "\n";
  } else if (result) {
    print(*result);
  }
  if (!result) {
    const int code = exit_code_of(result.error());
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
  CLI::App* verb = app.add_subcommand("submit", "One text, answered at once");
  verb->add_option("TEXT", options->words, "The text; without it standard input is read");
  verb->add_flag("--json", options->json, "The results as JSON");
  verb->add_flag("--details", options->details, "In JSON also scores, versions, fingerprints and worker");
  add_job_options(*verb, options->job);
  add_connection_options(*verb, options->connection, true);
  verb->footer(kExamples);
  verb->callback([options, &program] { program.exit_code = submit(*options, program); });
}

}  // namespace tandem::cli
