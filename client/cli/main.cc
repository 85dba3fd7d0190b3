// `tandem`: the command line for people. Each verb is in a file of its own name.

#include <CLI/CLI.hpp>
#include <cstdio>

#include "client/cli/program.h"
#include "shared/base/log.h"
#include "shared/base/standard_output.h"

namespace {

constexpr const char* kAbout =
    R"(Sentiment and replies for texts, through a queue, from a small language model.

Start here:
  tandem submit "I love it"                 one text, answered at once
  tandem chat                               a conversation
  tandem run in.jsonl -o out.jsonl          a file of texts, a line each: {"text": "..."}
  tandem show out.jsonl                     its results as a table
  tandem top                                what the queue is doing, live

Without a broker configured, run, submit and chat start a private broker and worker for the
length of the command. submit --detach and the verbs around the queue need a broker that runs
(tandem-broker). `tandem VERB --help` tells the rest.)";

constexpr const char* kFooter =
    R"(Exit codes: 0 all is well, 1 some rows failed or got worse, 2 wrong usage, 3 no broker
answers, 4 the run broke off (disk full, worker died) or its output was lost, 130 interrupted.
Environment: TANDEM_BROKER (as --broker), TANDEM_RUN_DIR, XDG_CACHE_HOME, NO_COLOR.)";

// " dead ls"
std::string verb_of(const CLI::App& app) {
  std::string verb;
  for (auto found = app.get_subcommands(); !found.empty(); found = found.front()->get_subcommands())
    verb += " " + found.front()->get_name();
  return verb;
}

// The one place that sees to it that a verb whose output is lost did not go well.
int finish(const CLI::App& app, int exit_code) {
  const auto written = tandem::flush_standard_output();
  if (written || exit_code > tandem::cli::kSomeFailed) return exit_code;
  std::fprintf(stderr, "tandem%s: %s\n", verb_of(app).c_str(), written.error().text.c_str());
  return tandem::cli::kBroken;
}

}  // namespace

int main(int argc, char** argv) {
  tandem::StopSignal stop;
  tandem::cli::Program program{stop};

  CLI::App app(kAbout, "tandem");
  app.footer(kFooter);
  app.set_version_flag("--version", "tandem " TANDEM_VERSION);
  app.require_subcommand(0, 1);
  app.failure_message([](const CLI::App*, const CLI::Error&) { return std::string(); });
  tandem::cli::add_run(app, program);
  tandem::cli::add_submit(app, program);
  tandem::cli::add_chat(app, program);
  tandem::cli::add_results(app, program);
  tandem::cli::add_jobs(app, program);
  tandem::cli::add_top(app, program);
  tandem::cli::add_dead(app, program);
  tandem::cli::add_cancel(app, program);
  tandem::cli::add_drain(app, program);
  tandem::cli::add_show(app, program);
  tandem::cli::add_bench(app, program);
  tandem::cli::add_keygen(app, program);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return finish(app, app.exit(error));  // help and version
    const std::string verb = verb_of(app);
    std::fprintf(stderr, "tandem%s: %s\nTry: tandem%s --help\n", verb.c_str(), error.what(), verb.c_str());
    return tandem::cli::kUsage;
  }
  if (app.get_subcommands().empty()) {
    std::fprintf(stderr, "tandem: expected a verb, such as run, submit, chat or jobs\nTry: tandem --help\n");
    return tandem::cli::kUsage;
  }
  return finish(app, program.exit_code);
}
