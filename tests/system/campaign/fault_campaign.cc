// The campaign: a real broker, workers and clients under load, and everything that can happen to them, at
// random.
//
//   fault_campaign [KILLS] [--seed N] [--only processes|disk|network|model]
//
// Four phases share the kills: processes over ipc; the journal on a disk that fills up; hosts in network
// namespaces, over tcp with keys, whose cables are cut; the real worker with the demonstration model. After
// every round of a phase everything is mended, the clients finish, and every job is asked about: none that
// was accepted may be lost, have two outcomes, or have none. Exit status 0 when that holds.

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <random>
#include <thread>

#include "tests/system/campaign/faults.h"
#include "tests/system/campaign/hosts.h"
#include "tests/system/campaign/stage.h"
#include "tests/system/campaign/verify.h"
#include "tests/system/campaign/witness.h"

namespace tandem::testing {
namespace {

using namespace std::chrono_literals;

constexpr size_t kRoundKills = 50;

struct Settings {
  size_t n_kills = 25;
  uint64_t seed = 0;
  std::string only;
  double rate = 150;
};

struct Total {
  Findings findings;
  std::map<std::string, size_t> faults;
  std::vector<std::string> problems, skipped;
  size_t n_kills = 0;
};

class Campaign {
 public:
  explicit Campaign(const Settings& settings)
      : settings_(settings), random_(settings.seed), begun_(clock_.now()) {}

  void processes(size_t n_kills) {
    StageOptions options;
    options.rate = settings_.rate;
    play("processes", n_kills, std::move(options), {});
  }

  void disk(size_t n_kills) {
    StageOptions options;
    options.rate = settings_.rate;
    options.small_disk = true;
    play("disk", n_kills, std::move(options), {});
  }

  void network(size_t n_kills) {
    auto workers = Host::start(1);
    auto clients = workers ? Host::start(2) : Result<std::unique_ptr<Host>>(fail(workers.error()));
    if (!clients) return skip("network", clients.error().text);
    StageOptions options;
    options.rate = settings_.rate;
    options.with_keys = true;
    options.workers_host = workers->get();
    options.clients_host = clients->get();
    play("network", n_kills, std::move(options), {workers->get(), clients->get(), nullptr});
  }

  void model(size_t n_kills) {
    StageOptions options;
    options.n_workers = 2;
    options.n_clients = 2;
    options.rate = std::min(settings_.rate, 15.0);
    options.real_workers = true;
    play("model", n_kills, std::move(options), {});
  }

  void skip(const std::string& phase, const std::string& why) {
    total_.skipped.push_back(phase + ": " + why);
    std::printf("%-9s skipped: %s\n", phase.c_str(), why.c_str());
  }

  int summary() const;

 private:
  void play(const std::string& phase, size_t n_kills, StageOptions options, FaultMeans means);
  void show(const std::string& phase, size_t n_done, size_t n_kills, const Findings& findings) const;

  const Settings settings_;
  SystemClock clock_;
  std::mt19937_64 random_;
  TimePoint begun_;
  Total total_;
};

void Campaign::play(const std::string& phase, size_t n_kills, StageOptions options, FaultMeans means) {
  if (n_kills == 0) return;
  Stage stage(options);
  std::unique_ptr<SmallDisk> disk;
  if (options.small_disk) {
    auto mounted = SmallDisk::mount(stage.journal_folder(), 16 * 1024);
    if (!mounted) return skip(phase, mounted.error().text);
    disk = std::move(*mounted);
    means.disk = disk.get();
  }
  Faults faults(stage, means, random_);
  if (stage.start()) {
    Witness witness(stage.endpoint("results-out"), stage.admin_keys());
    ClientOptions asking;
    asking.submit_endpoint = stage.endpoint("submit");
    asking.results_endpoint = stage.endpoint("results-out");
    asking.keys = stage.admin_keys();
    auto client = Client::open(asking);
    Findings in_phase;
    JobRecords all;
    size_t n_done = 0;
    while (client && n_done < n_kills && stage.problems().empty() && in_phase.good()) {
      const size_t until = n_kills - n_done < kRoundKills * 3 / 2 ? n_kills : n_done + kRoundKills;
      for (; n_done < until && stage.problems().empty(); ++n_done) {
        const TimePoint next = clock_.now() + milliseconds(50 + random_() % 450);
        while (clock_.now() < next) {
          faults.tend();
          stage.tend();
          std::this_thread::sleep_for(5ms);
        }
        faults.one();
      }
      if (!stage.problems().empty()) break;
      faults.end_all();
      stage.finish_clients(90s);
      JobRecords records;
      for (const std::string& file : stage.record_files()) read_records(file, records);
      in_phase.add(verify(**client, records, witness.take(), 30s));
      show(phase, n_done, n_kills, in_phase);
      stage.begin_round();
      all.merge(records);
    }
    // And once more, after everything: what was kept is still there, and still the same.
    if (client && n_done > kRoundKills && in_phase.good()) {
      const Findings again = verify(**client, all, {}, 60s);
      if (!again.good()) in_phase.add(again);
    }
    total_.findings.add(in_phase);
    total_.n_kills += n_done;
  }
  for (const auto& [what, n] : faults.counts()) total_.faults[what] += n;
  for (const std::string& problem : stage.problems()) {
    total_.problems.push_back(phase + ": " + problem);
    std::printf("%-9s PROBLEM %s\n", phase.c_str(), problem.c_str());
  }
}

void Campaign::show(const std::string& phase, size_t n_done, size_t n_kills, const Findings& findings) const {
  const double seconds = std::chrono::duration<double>(clock_.now() - begun_).count();
  std::printf(
      "%-9s %4zu of %zu  %7zu jobs accepted  %6.0f jobs/s in all  lost %zu  doubled %zu  stuck %zu  %4.0f "
      "s\n",
      phase.c_str(), n_done, n_kills, findings.n_accepted,
      static_cast<double>(total_.findings.n_accepted + findings.n_accepted) / seconds, findings.n_lost,
      findings.n_doubled, findings.n_stuck + findings.n_leftover, seconds);
  std::fflush(stdout);
}

int Campaign::summary() const {
  const Findings& f = total_.findings;
  std::printf("\n%zu kills in %.0f s, seed %llu\n", total_.n_kills,
              std::chrono::duration<double>(clock_.now() - begun_).count(),
              static_cast<unsigned long long>(settings_.seed));
  for (const auto& [what, n] : total_.faults) std::printf("  %5zu  %s\n", n, what.c_str());
  std::printf(
      "%zu jobs submitted, %zu known to be accepted, %zu outcomes: %zu done, %zu failed, %zu dead, %zu "
      "expired, %zu cancelled\n",
      f.n_submitted, f.n_accepted, f.n_outcomes, f.n_done, f.n_failed, f.n_dead, f.n_expired, f.n_cancelled);
  std::printf("%zu of them compared with what was published\n", f.n_witnessed);
  std::printf("lost %zu, two outcomes %zu, stuck %zu\n", f.n_lost, f.n_doubled, f.n_stuck + f.n_leftover);
  for (const std::string& example : f.examples) std::printf("  %s\n", example.c_str());
  for (const std::string& skipped : total_.skipped) std::printf("skipped %s\n", skipped.c_str());
  for (const std::string& problem : total_.problems) std::printf("PROBLEM %s\n", problem.c_str());
  const bool good = f.good() && total_.problems.empty() && f.n_outcomes > 0;
  std::printf("%s\n", good ? "All held." : "FAILED");
  return good ? 0 : 1;
}

int run(Settings settings) {
  if (settings.seed == 0) settings.seed = std::random_device{}();
  std::printf("%zu kills, seed %llu\n", settings.n_kills, static_cast<unsigned long long>(settings.seed));
  std::fflush(stdout);
  const auto namespaces = own_namespaces();  // before any thread
  Campaign campaign(settings);
  const auto share = [&](const std::string& phase, size_t percent) {
    if (settings.only == phase) return settings.n_kills;
    return settings.only.empty() ? std::max<size_t>(settings.n_kills * percent / 100, 2) : 0;
  };
  campaign.processes(share("processes", 60));
  if (namespaces) {
    campaign.disk(share("disk", 12));
    campaign.network(share("network", 18));
  } else {
    campaign.skip("disk, network", namespaces.error().text);
  }
  campaign.model(share("model", 10));
  return campaign.summary();
}

}  // namespace
}  // namespace tandem::testing

int main(int argc, char** argv) {
  tandem::testing::Settings settings;
  CLI::App app("Kills broker, workers and clients under load and looks whether anything is lost.",
               "fault_campaign");
  app.add_option("kills", settings.n_kills, "how many faults")->check(CLI::PositiveNumber);
  app.add_option("--seed", settings.seed, "repeats the choices of a run");
  app.add_option("--only", settings.only, "one phase")
      ->check(CLI::IsMember({"processes", "disk", "network", "model"}));
  app.add_option("--rate", settings.rate, "new jobs a second, of each client");
  CLI11_PARSE(app, argc, argv);
  return tandem::testing::run(settings);
}
