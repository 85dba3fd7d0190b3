// tandem run: a file of texts in, a file of results out.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "client/cli/bulk_run.h"
#include "client/cli/connection.h"
#include "client/cli/job_options.h"
#include "client/cli/program.h"
#include "client/cli/queue_options.h"
#include "shared/base/format.h"
#include "shared/base/limits.h"

namespace tandem::cli {
namespace {

constexpr Duration kFullPatience = std::chrono::hours(24);  // the progress line says that the broker is full
constexpr size_t kWaitingPerOutstanding = 8;                // finished rows that may wait for an earlier one

struct RunOptions {
  std::string in;
  std::string out = "-";
  bool force = false;
  bool as_completed = false;
  bool ordered = false;
  bool details = false;
  size_t outstanding_max = 256;
  std::string progress = "auto";
  bool quiet = false;
  JobOptions job;
  QueueOptions queue;
  ConnectionOptions connection;
};

constexpr const char* kExamples = R"(A line of IN is an object with a text and what else you like:
  {"text": "I love it"}
  {"id": 7, "text": "太难吃了", "tasks": ["sentiment-zh", "reply"], "shop": "west"}
  {"messages": [{"role": "user", "content": "hello"}], "task": "reply", "max_tokens": 40}
It may set: id, text | prompt | messages, task | tasks, variables, max_tokens, temperature, top_k,
top_p, repetition_penalty, no_repeat_ngram, seed, stop, accept, store, namespace. Other fields are
carried through. A line of OUT is the line of IN with "results" by task, or an "error". A bad line
becomes a row with an error in its place, and the run goes on.

Rows are written to OUT.partial, which becomes OUT when the run is complete.

Examples:
  tandem run reviews.jsonl -o answers.jsonl
  tandem run reviews.jsonl -o answers.jsonl --tasks sentiment --model ~/models/Qwen1.5-0.5B-Chat
  zcat reviews.gz | tandem run - --tasks keywords | jq -r .results.keywords.text)";

bool same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  return a != "-" && b != "-" && std::filesystem::equivalent(a, b, error);
}

std::string summary(const RunCounts& counts, double seconds) {
  return fmt::format("{} rows, {} failed, {} cached, {:.1f} s, {:.3g} rows/s", counts.done, counts.failed,
                     counts.cached, seconds, seconds > 0 ? static_cast<double>(counts.done) / seconds : 0);
}

int run(const RunOptions& options, Program& program) {
  const auto failed = [](const Error& error, int code) { return complain("run", error, code); };
  const auto stop = [&] { return program.stop.requested(); };

  // All that can be wrong with the command line, before anything is started.
  const auto mode = ProgressPrinter::mode_from(options.progress);
  if (!mode) return failed(mode.error(), kUsage);
  const auto defaults = make_job(options.job);
  if (!defaults) return failed(defaults.error(), kUsage);
  const auto queue = make_submit_options(options.queue);
  if (!queue) return failed(queue.error(), kUsage);
  auto in = LineReader::open(options.in, limits::kJsonLineBytesMax);
  if (!in) return failed(in.error(), kUsage);
  if (same_file(options.in, options.out)) {
    return failed({ErrorCode::kInvalid, options.out + ": expected another file than the input"}, kUsage);
  }
  auto out = RowWriter::open(options.out, options.force);
  if (!out) return failed(out.error(), kUsage);

  ProgressPrinter progress(*mode);
  const bool talkative = !options.quiet && ::isatty(STDERR_FILENO) != 0;
  if (talkative) std::fputs("starting...", stderr);
  ClientOptions client;
  client.outstanding_max = options.outstanding_max;
  client.full_patience = kFullPatience;
  auto connection = Connection::open(options.connection, true, client, stop);
  if (talkative) std::fputs("\r\033[K", stderr);
  if (!connection) {
    const std::string partial = out->partial_path();
    if (!partial.empty()) ::unlink(partial.c_str());
    if (connection.error().code == ErrorCode::kCancelled) return kInterrupted;
    return failed(connection.error(), exit_code_of(connection.error()));
  }

  BulkSettings settings;
  settings.defaults = *defaults;
  settings.queue = *queue;
  settings.style.details = options.details;
  settings.ordered = !options.as_completed;
  settings.outstanding_max = options.outstanding_max;
  settings.waiting_max = options.outstanding_max * kWaitingPerOutstanding;
  const SystemClock clock;
  const TimePoint begin = clock.now();
  BulkRun bulk({connection->client(), *in, *out, progress, clock, stop, [&] { return connection->alive(); }},
               settings);
  auto done = bulk.run();
  progress.clear();
  if (done && !bulk.stopped()) done = out->finish();

  const RunCounts& counts = bulk.counts();
  const std::string so_far = out->partial_path().empty()
                                 ? std::string()
                                 : fmt::format("; {} rows are in {}", bulk.n_written(), out->partial_path());
  if (!done) return failed({done.error().code, done.error().text + so_far}, kBroken);
  if (bulk.stopped()) {
    std::fprintf(stderr, "tandem run: interrupted%s\n", so_far.c_str());
    return kInterrupted;
  }
  if (!options.quiet) {
    const double seconds = std::chrono::duration<double>(clock.now() - begin).count();
    std::fprintf(stderr, "%s\n", summary(counts, seconds).c_str());
  }
  return counts.failed > 0 ? kSomeFailed : kGood;
}

}  // namespace

void add_run(CLI::App& app, Program& program) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* verb = app.add_subcommand("run", "A file of texts in, a file of results out (JSON lines)");
  verb->add_option("IN", options->in, "Texts, one JSON object a line; - is standard input")->required();
  verb->add_option("-o,--output", options->out, "Results; - is standard output")
      ->type_name("OUT")
      ->capture_default_str();
  verb->add_flag("-f,--force", options->force, "Replace OUT if it is there");
  auto* as_completed =
      verb->add_flag("--as-completed", options->as_completed, "Rows in the order in which they are finished");
  verb->add_flag("--ordered", options->ordered, "Rows in the order of IN (default)")->excludes(as_completed);
  verb->add_flag("--details", options->details,
                 "Also all label scores, versions, fingerprints, batch size and worker");
  verb->add_option("--outstanding", options->outstanding_max, "Jobs with the broker at a time")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  verb->add_option("--progress", options->progress, "auto, bar, json or none, on standard error")
      ->capture_default_str();
  verb->add_flag("-q,--quiet", options->quiet, "No summary at the end");
  add_job_options(*verb, options->job);
  add_queue_options(*verb, options->queue, true);
  add_connection_options(*verb, options->connection, true);
  verb->footer(kExamples);
  verb->callback([options, &program] { program.exit_code = run(*options, program); });
}

}  // namespace tandem::cli
