// What the verbs share: exit codes, how errors are said, whether colours are welcome.

#pragma once

#include <string>
#include <string_view>

#include "shared/base/error.h"
#include "shared/base/stop_signal.h"

namespace CLI {
class App;
}

namespace tandem::cli {

// Part of the promise to scripts; `tandem --help` has them.
enum ExitCode : int {
  kGood = 0,
  kSomeFailed = 1,  // the run is complete, some of its rows are errors; of a comparison: some got worse
  kUsage = 2,       // the command line, or a file it names, is not as it must be
  kNoBroker = 3,    // nobody answers at the endpoint
  kBroken = 4,      // the run could not be finished: a full disk, a worker that died; or its output is lost
  kInterrupted = 130,
};

// What main() gives to every verb. A verb's callback runs inside the parsing of the command line and leaves
// its exit code here. Afterwards main() looks whether what was printed has arrived; kBroken when it is lost.
struct Program {
  StopSignal& stop;
  int exit_code = kGood;
};

// "tandem run: in.jsonl: cannot open: No such file or directory" on standard error; gives `exit_code` back.
int complain(std::string_view verb, const Error& error, int exit_code);
// The code for an error before the work began.
int exit_code_of(const Error& error);

// A text of somebody else, to be written to `fd`: as it is into a file or a pipe, printable_lines() on a
// terminal, which would take orders from it.
std::string shown(std::string_view text, int fd);

// Colours and other attributes: on a terminal, unless NO_COLOR is set (no-color.org).
bool colours_welcome(int fd);
std::string dim(std::string_view text, bool colours);
std::string bold(std::string_view text, bool colours);
std::string red(std::string_view text, bool colours);
std::string green(std::string_view text, bool colours);

// Each verb adds itself: its options, its help, its callback. One file per verb.
void add_run(CLI::App& app, Program& program);
void add_submit(CLI::App& app, Program& program);
void add_chat(CLI::App& app, Program& program);
void add_jobs(CLI::App& app, Program& program);
void add_dead(CLI::App& app, Program& program);
void add_cancel(CLI::App& app, Program& program);
void add_drain(CLI::App& app, Program& program);
void add_top(CLI::App& app, Program& program);
void add_results(CLI::App& app, Program& program);  // and `result`
void add_show(CLI::App& app, Program& program);
void add_bench(CLI::App& app, Program& program);
void add_keygen(CLI::App& app, Program& program);

}  // namespace tandem::cli
