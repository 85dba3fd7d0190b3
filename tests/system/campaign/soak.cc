// The soak: everything at once for a long time, nothing killed, and memory that does not grow.
//
//   soak [MINUTES] [--rate N]
//
// A broker that keeps results for half a minute, null workers that come and go, clients with jobs of all
// kinds. Resident memory of everyone is sampled. What is needed to begin with is given a third of the time;
// over the rest the line through the samples must not rise by more than a tenth, or 1 MiB. Exit status 0 when
// it does not, and every job came to its outcome.

#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <thread>

#include "client/include/tandem/client.h"
#include "tests/system/campaign/stage.h"

namespace tandem::testing {
namespace {

using namespace std::chrono_literals;

constexpr double kGrowthMax = 0.10;
constexpr double kGrowthMibMax = 1;
constexpr size_t kColumns = 60, kRows = 8;

struct Settings {
  double minutes = 60;
  double rate = 300;
};

struct Sample {
  double seconds = 0;
  double mib = 0;
};
using Samples = std::vector<Sample>;

double resident_mib(const Process& process) {
  std::ifstream status("/proc/" + std::to_string(process.pid()) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return 0;
}

// A broker's map of its journal is memory of the page cache, which comes and goes: what counts is its own.
double own_mib(const Process& process) {
  std::ifstream status("/proc/" + std::to_string(process.pid()) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::strtod(line.c_str() + 8, nullptr) / 1024;
  }
  return resident_mib(process);
}

// MiB that the straight line through the samples (least squares) rises from the first to the last.
double rise_of(const Samples& samples) {
  if (samples.size() < 2) return 0;
  double x_mean = 0, y_mean = 0, xy = 0, xx = 0;
  for (const Sample& one : samples) {
    x_mean += one.seconds / static_cast<double>(samples.size());
    y_mean += one.mib / static_cast<double>(samples.size());
  }
  for (const Sample& one : samples) {
    xy += (one.seconds - x_mean) * (one.mib - y_mean);
    xx += (one.seconds - x_mean) * (one.seconds - x_mean);
  }
  return xx == 0 ? 0 : xy / xx * (samples.back().seconds - samples.front().seconds);
}

void draw(const std::string& name, const Samples& samples) {
  double most = 0;
  for (const Sample& one : samples) most = std::max(most, one.mib);
  std::printf("\n%s, MiB of its own (to %.1f min)\n", name.c_str(), samples.back().seconds / 60);
  for (size_t row = kRows; row > 0; --row) {
    const double above = most * 1.1 * static_cast<double>(row - 1) / kRows;
    std::string line;
    for (size_t column = 0; column < kColumns; ++column) {
      const double mib = samples[column * samples.size() / kColumns].mib;
      line += mib > above ? '#' : ' ';
    }
    std::printf("%8.1f |%s\n", most * 1.1 * static_cast<double>(row) / kRows, line.c_str());
  }
}

// Of the last two thirds. Whether it is flat.
bool judge(const std::string& name, const Samples& samples) {
  const Samples late(samples.begin() + static_cast<ptrdiff_t>(samples.size() / 3), samples.end());
  draw(name, samples);
  const double rise = rise_of(late), allowed = std::max(kGrowthMibMax, kGrowthMax * late.front().mib);
  std::printf("%s rises by %.2f MiB in the last two thirds, allowed are %.2f: %s\n", name.c_str(), rise,
              allowed, rise <= allowed ? "flat" : "GROWS");
  return rise <= allowed;
}

int run(const Settings& settings) {
  StageOptions options;
  options.n_workers = 3;
  options.n_clients = 3;
  options.rate = settings.rate;
  options.poison = false;
  // What is kept reaches its steady number within the first third.
  const int retention_s = std::clamp(static_cast<int>(settings.minutes * 60 / 6), 1, 30);
  options.broker_settings = {"broker.retention_s=" + std::to_string(retention_s), "broker.lease_ms=3000"};
  Stage stage(options);
  if (!stage.start()) {
    std::printf("FAILED: %s\n", stage.problems().front().c_str());
    return 1;
  }
  ClientOptions asking;
  asking.submit_endpoint = stage.endpoint("submit");
  asking.results_endpoint = stage.endpoint("results-out");
  auto client = Client::open(asking);
  if (!client) return 1;

  const SystemClock clock;
  const TimePoint begun = clock.now(),
                  end = begun + std::chrono::duration_cast<Duration>(
                                    std::chrono::duration<double>(settings.minutes * 60));
  const Duration every = std::max<Duration>(200ms, (end - begun) / 600);
  const auto workers = stage.of(Stage::Role::kWorker), clients = stage.of(Stage::Role::kClient);
  Samples broker, worker, customer;
  TimePoint next_leaving = begun + 10s, next_word = begun;
  uint64_t accepted = 0;
  while (clock.now() < end && stage.problems().empty()) {
    std::this_thread::sleep_for(every);
    stage.tend();
    const double seconds = std::chrono::duration<double>(clock.now() - begun).count();
    broker.push_back({seconds, own_mib(*stage.broker().process)});
    worker.push_back({seconds, own_mib(*workers[0]->process)});
    customer.push_back({seconds, own_mib(*clients[0]->process)});
    if (clock.now() >= next_leaving) {  // the last worker, so that the first is measured
      stage.end(*workers.back(), true, 500ms);
      next_leaving = clock.now() + 10s;
    }
    if (clock.now() < next_word) continue;
    next_word = clock.now() + std::max<Duration>(10s, (end - begun) / 30);
    const auto status = (*client)->status(10s);
    if (!status) continue;
    accepted = status->accepted_total;
    std::printf(
        "%6.1f min  %8llu jobs accepted  %6llu kept  %5llu ready  broker %.1f  worker %.1f  client %.1f MiB  "
        "journal %.1f MiB\n",
        seconds / 60, static_cast<unsigned long long>(accepted),
        static_cast<unsigned long long>(status->finished_kept),
        static_cast<unsigned long long>(status->ready), broker.back().mib, worker.back().mib,
        customer.back().mib, static_cast<double>(status->journal_bytes) / (1 << 20));
    std::fflush(stdout);
  }
  const bool finished = stage.finish_clients(60s);
  const auto status = (*client)->status(10s);
  bool good =
      finished && status && status->ready + status->delayed + status->leased == 0 && stage.problems().empty();
  if (status) {
    std::printf(
        "\n%llu jobs accepted, %llu finished, %llu without a result, %llu lent again, %llu answered by an "
        "equal one\n",
        static_cast<unsigned long long>(status->accepted_total),
        static_cast<unsigned long long>(status->finished_total),
        static_cast<unsigned long long>(status->failed_total),
        static_cast<unsigned long long>(status->redelivered_total),
        static_cast<unsigned long long>(status->joined_total));
  }
  for (const std::string& problem : stage.problems()) std::printf("PROBLEM %s\n", problem.c_str());
  good = judge("broker", broker) && good;
  good = judge("worker", worker) && good;
  good = judge("client", customer) && good;
  std::printf("%s\n", good ? "All held." : "FAILED");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace tandem::testing

int main(int argc, char** argv) {
  tandem::testing::Settings settings;
  CLI::App app("Everything at once for a long time, and memory that does not grow.", "soak");
  app.add_option("minutes", settings.minutes)->check(CLI::PositiveNumber);
  app.add_option("--rate", settings.rate, "new jobs a second, of each client");
  CLI11_PARSE(app, argc, argv);
  return tandem::testing::run(settings);
}
