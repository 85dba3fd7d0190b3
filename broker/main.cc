// tandem-broker: the parts list, and the loop of turns.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "broker/broker.h"
#include "broker/config.h"
#include "broker/lmdb_journal.h"
#include "broker/ports.h"
#include "broker/upkeep_verbs.h"
#include "shared/base/log.h"
#include "shared/base/places.h"
#include "shared/base/ready_line.h"
#include "shared/base/service_manager.h"
#include "shared/base/standard_output.h"
#include "shared/base/stop_signal.h"
#include "shared/metrics/metrics_server.h"
#include "shared/metrics/process_metrics.h"
#include "shared/metrics/snapshot_desk.h"

namespace tandem::broker {
namespace {

// Exit statuses.
constexpr int kFailed = 1;
constexpr int kBadUsage = 2;
constexpr int kNotWritten = 4;

int complain(const Error& error, int status) {
  std::fprintf(stderr, "tandem-broker: %s\n", error.text.c_str());
  return status;
}

// Of what was asked to be printed.
int printed_well() {
  const auto written = flush_standard_output();
  return written ? 0 : complain(written.error(), kNotWritten);
}

// The folder of the default sockets is made by whoever starts first, for this user alone.
void make_run_dir() {
  std::error_code ignored;  // binding says what is wrong
  if (std::filesystem::create_directories(run_dir(), ignored)) {
    std::filesystem::permissions(run_dir(), std::filesystem::perms::owner_all, ignored);
  }
}

MetricPage page_of(const SnapshotDesk<BrokerFigures>::Snapshot& snapshot) {
  MetricPage page = snapshot.figures ? metrics_of(*snapshot.figures) : MetricPage();
  if (snapshot.figures) add_snapshot_age(page, snapshot.age);
  add_process_metrics(page);
  return page;
}

int run(const BrokerConfig& config, int ready_fd) {
  StopSignal stop;
  const Log log("broker");
  const SystemClock clock;

  auto journal = LmdbJournal::open(config.journal);
  if (!journal) return complain(journal.error(), kFailed);

  make_run_dir();
  NetContext context;
  auto ports = Ports::open(context, config.ports);
  if (!ports) return complain(ports.error(), kFailed);

  auto broker = Broker::recover(config.dispatcher, config.turn, clock, **journal, *ports, log);
  if (!broker) return complain(broker.error(), kFailed);

  SnapshotDesk<BrokerFigures> desk(clock, stop.wake());
  const auto metrics = MetricsServer::open(config.metrics, [&] { return page_of(desk.look()); });
  if (!metrics) return complain(metrics.error(), kFailed);

  const std::string facts = ports->endpoints() + (*metrics ? " metrics=" + (*metrics)->address() : "");
  log.info("broker ready {} journal={}", facts, config.journal.folder.string());
  say_ready(ready_fd, facts);
  tell_service_manager("READY=1");
  std::string state;
  while (!stop.requested()) {
    if (auto turn = broker->run_turn(stop.wake()); !turn) {
      log.error("broker stops, nothing of this turn was said: {}", turn.error().text);
      return kFailed;
    }
    if (desk.is_asked()) desk.give(broker->figures());
    if (broker->state() != state) {
      state = broker->state();
      tell_service_manager("STATUS=" + state);
    }
  }
  tell_service_manager("STOPPING=1");
  if (auto settled = broker->settle(); !settled) {
    log.error("broker stops, not all that was decided is in the journal: {}", settled.error().text);
    return kFailed;
  }
  log.info("broker stops signal={} accepted={} finished={} unreadable={} unsent={} forbidden={} refused={}",
           stop.number(), broker->dispatcher().counters().accepted, broker->dispatcher().counters().finished,
           ports->counters().unreadable, ports->counters().unsent, ports->counters().forbidden,
           ports->connections_refused());
  return 0;
}

int main_program(int argc, char** argv) {
  CLI::App app(
      "The queue of Tandem: accepts jobs, writes them down, lends them to workers, publishes results.\n"
      "Every setting is in configs/broker.toml.",
      "tandem-broker");
  ConfigSources sources;
  bool print_config = false, check_config = false;
  int ready_fd = STDOUT_FILENO;
  app.add_option("--config", sources.file, "settings, a TOML file; without it the defaults");
  app.add_option("--set", sources.sets, "one setting, such as broker.lease_ms=5000; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_flag("--print-config", print_config, "print the settings in effect and exit");
  app.add_flag("--check-config", check_config, "say what is wrong with the settings and exit");
  app.add_option("--ready-fd", ready_fd,
                 "write the line \"ready ...\" to this open file, not to standard output");
  app.set_version_flag("--version", TANDEM_VERSION);
  UpkeepVerbs upkeep;
  upkeep.add_to(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? printed_well() : kBadUsage;
  }

  std::string printed;
  const auto config = load_config(sources, &printed);
  if (!config) return complain(config.error(), kBadUsage);
  if (print_config) std::fputs(printed.c_str(), stdout);
  if (print_config || check_config) return printed_well();
  if (upkeep.parsed()) return upkeep.run(config->journal.folder);
  if (auto set = set_log_level(config->log_level); !set) return complain(set.error(), kBadUsage);
  return run(*config, ready_fd);
}

}  // namespace
}  // namespace tandem::broker

int main(int argc, char** argv) {
  return tandem::broker::main_program(argc, argv);
}
