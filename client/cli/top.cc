// tandem top: what the queue is doing, live.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "client/cli/connection.h"
#include "client/cli/program.h"
#include "client/cli/queue_json.h"
#include "client/cli/terminal.h"
#include "client/cli/top_frame.h"
#include "client/cli/width.h"
#include "shared/base/standard_output.h"

namespace tandem::cli {
namespace {

struct TopOptions {
  double interval_s = 1;
  bool once = false;
  bool json = false;
  ConnectionOptions connection;
};

constexpr Duration kLookEvery = milliseconds(100);  // for a key, a signal, another size of the window

constexpr const char* kExamples = R"(Where standard output is no terminal, one frame is printed.

Examples:
  tandem top
  tandem top --once
  tandem top --json --interval 5 >> queue.jsonl     a line every five seconds)";

// Waits, and says whether to go on.
using Pause = std::function<bool(TimePoint until)>;

int print_frames(const TopOptions& options, Client& client, const std::string& where, const Clock& clock,
                 const Pause& pause) {
  const Duration interval(static_cast<int64_t>(options.interval_s * 1e9));
  TopHistory history;
  for (int n = 1;; ++n) {
    const TimePoint begin = clock.now();
    auto status = client.status(options.connection.patience);
    if (!status) return complain("top", status.error(), exit_code_of(status.error()));
    if (options.json) {
      std::printf("%s\n", status_json(*status).c_str());
      const auto written = flush_standard_output();
      if (!written) return complain("top", written.error(), kBroken);
      if (std::ferror(stdout) != 0) return kBroken;  // nobody reads any more
      if (options.once) return kGood;
    }
    history.add(std::move(*status), clock.now());
    if (!options.json && n == 2) break;  // two, for the rates
    if (!pause(begin + interval)) return options.json ? kGood : kInterrupted;
  }
  const TopStyle style{{terminal_width(STDOUT_FILENO, 120), 200}, colours_welcome(STDOUT_FILENO), false};
  std::fputs(render_top(history, clock.now(), where, style).c_str(), stdout);
  return kGood;
}

int show_live(const TopOptions& options, Client& client, const std::string& where, const Clock& clock,
              const std::function<bool()>& stop) {
  const Duration interval(static_cast<int64_t>(options.interval_s * 1e9));
  Screen screen;
  TopHistory history;
  while (!stop()) {
    const TimePoint begin = clock.now();
    auto status = client.status(std::min<Duration>(interval, std::chrono::seconds(1)));
    if (status) history.add(std::move(*status), clock.now());
    ScreenSize drawn{0, 0};
    do {
      if (screen.size() != drawn) {
        drawn = screen.size();
        screen.draw(render_top(history, clock.now(), where, {drawn, colours_welcome(STDOUT_FILENO), true}));
      }
      const char key = screen.key(kLookEvery);
      if (key == 'q' || key == 'Q') return kGood;
    } while (clock.now() < begin + interval && !stop());
  }
  return kGood;
}

int top(const TopOptions& options, Program& program) {
  const auto stop = [&] { return program.stop.requested(); };
  auto connection = Connection::open(options.connection, false, {}, stop);
  if (!connection) return complain("top", connection.error(), exit_code_of(connection.error()));
  Client& client = connection->client();
  const SystemClock clock;
  if (!options.once && !options.json && Screen::possible()) {
    return show_live(options, client, connection->where(), clock, stop);
  }
  return print_frames(options, client, connection->where(), clock, [&](TimePoint until) {
    while (clock.now() < until && !stop()) {
      (void)client.wait(std::min<Duration>(until - clock.now(), kLookEvery));
    }
    return !stop();
  });
}

}  // namespace

void add_top(CLI::App& app, Program& program) {
  const auto options = std::make_shared<TopOptions>();
  CLI::App* verb = app.add_subcommand("top", "What the queue is doing, live: rates, depth, workers, clients");
  verb->add_option("--interval", options->interval_s, "Seconds between two looks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  verb->add_flag("--once", options->once, "Print one frame");
  verb->add_flag("--json", options->json, "The broker's status as a line of JSON, at every look");
  add_connection_options(*verb, options->connection, false);
  verb->footer(kExamples);
  verb->callback([options, &program] { program.exit_code = top(*options, program); });
}

}  // namespace tandem::cli
