// The full life of a job per second: submitted, written down, lent, answered by a worker that does nothing,
// written down, published, heard. The broker is a process of its own; its journal lies in TMPDIR (which
// should be the disk to measure). Other queues do the same in the same run, where they are installed.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "bench/queue_parts.h"
#include "bench/report.h"

namespace tandem::bench {
namespace {

struct Part {
  std::string name;
  bool by_default;
  Result<void> (*measure)(const QueueOptions&, Report&);
};

// "peers" stands for the others in the rounds of "life".
const std::vector<Part> kParts = {
    {"life", true, measure_life},        {"peers", true, nullptr},       {"tcp", true, measure_tcp},
    {"replay", true, measure_replay},    {"crowd", true, measure_crowd}, {"classes", true, measure_classes},
    {"backlog", false, measure_backlog},
};

int run(int argc, char** argv) {
  CLI::App app("Jobs through the broker, per second, with workers that do nothing");
  QueueOptions options;
  std::vector<std::string> wanted, names;
  for (const Part& part : kParts) {
    names.push_back(part.name);
    if (part.by_default) wanted.push_back(part.name);
  }
  std::string json;
  bool quick = false;
  double seconds = options.seconds.count();
  app.add_option("--parts", wanted, "which to measure; backlog needs 8 GB of disk and some minutes")
      ->delimiter(',')
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  auto* seconds_given = app.add_option("--seconds", seconds, "of each figure in each of the rounds")
                            ->check(CLI::Range(0.01, 3600.0));
  auto* backlog_given = app.add_option("--backlog", options.n_backlog, "jobs of the backlog")
                            ->check(CLI::Range(1'000, 100'000'000))
                            ->capture_default_str();
  auto* crowd_given = app.add_option("--crowd", options.n_crowd, "workers of the crowd, and as many clients")
                          ->check(CLI::Range(1, 10'000))
                          ->capture_default_str();
  app.add_option("--json", json, "write the rows to this file");
  app.add_flag("--quick", quick, "a smoke run of some seconds: its figures mean nothing");
  CLI11_PARSE(app, argc, argv);

  if (quick) {
    options.n_rounds = 1;
    options.n_replay = 2'000;
    if (crowd_given->count() == 0) options.n_crowd = 20;
    if (seconds_given->count() == 0) seconds = 0.1;
    if (backlog_given->count() == 0) options.n_backlog = 20'000;
  }
  options.seconds = Seconds(seconds);
  const auto is_wanted = [&](const std::string& name) {
    return std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  };
  options.with_peers = is_wanted("peers");

  Report report;
  for (const Part& part : kParts) {
    if (part.measure == nullptr || !is_wanted(part.name)) continue;
    if (const auto measured = part.measure(options, report); !measured) {
      fmt::print(stderr, "bench_queue: {}: {}\n", part.name, measured.error().text);
      return 1;
    }
  }
  if (const auto written = report.write_json(json); !written) {
    fmt::print(stderr, "bench_queue: {}\n", written.error().text);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace tandem::bench

int main(int argc, char** argv) {
  return tandem::bench::run(argc, argv);
}
