#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bench/median.h"
#include "bench/queue_ceilings.h"
#include "bench/queue_client.h"
#include "bench/queue_parts.h"
#include "bench/queue_peers.h"

namespace tandem::bench {
namespace {

constexpr size_t kOutstanding[] = {1, 256, 1000};

struct Contender {
  std::string name;  // in rows: "queue.<name>..."
  std::function<Result<std::unique_ptr<RunningQueue>>()> start;
};

// What one round measured; a contender that cannot be started has no lives.
struct Round {
  std::map<std::string, std::map<size_t, Life>> lives;  // by contender, by jobs outstanding
  std::map<size_t, double> facts;
  double sync_us = 0;
};

// The median over all rounds of what `figure` takes out of one.
template <typename Figure>
double over(const std::vector<Round>& rounds, const Figure& figure) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(figure(round));
  return median(std::move(values));
}

Result<Round> run_round(const std::vector<Contender>& contenders, Seconds time) {
  Round round;
  for (const Contender& contender : contenders) {
    TANDEM_ASSIGN(const auto queue, contender.start());
    for (const size_t n : kOutstanding) {
      TANDEM_ASSIGN(round.lives[contender.name][n], live(*queue, n, time));
    }
  }
  for (const size_t n : kOutstanding) round.facts[n] = bare_facts_per_second(n, time / 2);
  round.sync_us = bare_sync_us(time / 2);
  return round;
}

// Ours, and those of the others that are there.
std::vector<Contender> find_contenders(bool with_peers) {
  std::vector<Contender> contenders = {{"life", [] { return start_tandem(); }}};
  if (!with_peers) return contenders;
  for (const Contender& peer : {Contender{"redis", start_redis}, Contender{"nats", start_nats}}) {
    if (const auto started = peer.start(); !started) {
      std::fprintf(stderr, "queue.%s: left out, %s\n", peer.name.c_str(), started.error().text.c_str());
    } else {
      contenders.push_back(peer);
    }
  }
  return contenders;
}

void report_ours(const std::vector<Round>& rounds, Report& report) {
  for (const size_t n : kOutstanding) {
    const std::string suffix = std::to_string(n);
    const auto rate = [&](const Round& round) { return round.lives.at("life").at(n).rate; };
    const auto facts = [&](const Round& round) { return round.facts.at(n); };
    report.add({"queue.life." + suffix, over(rounds, rate), "jobs/s",
                over(rounds, [&](const Round& round) { return 2 * rate(round) / facts(round); }),
                "submitted to heard, 512 B each way; a life is two facts"});
    report.add({"ceiling.facts." + suffix, over(rounds, facts), "1/s", std::nullopt,
                "bare puts, " + suffix + " to a synced commit"});
  }
  const auto alone = [](const Round& round) { return round.lives.at("life").at(1); };
  report.add({"queue.life.1.p50", over(rounds, [&](const Round& round) { return alone(round).p50_us; }), "us",
              over(rounds, [&](const Round& round) { return 2 * round.sync_us / alone(round).p50_us; }),
              "one at a time; a life is two syncs"});
  report.add({"queue.life.1.p99", over(rounds, [&](const Round& round) { return alone(round).p99_us; }), "us",
              std::nullopt, ""});
  report.add({"ceiling.sync", over(rounds, [](const Round& round) { return round.sync_us; }), "us",
              std::nullopt, "512 B added to a file, and a sync"});
  const auto most = [](const Round& round) { return round.lives.at("life").at(1000); };
  report.add({"queue.cpu_us", over(rounds, [&](const Round& round) { return most(round).cpu_us; }), "us/job",
              std::nullopt, "of the broker, 1,000 outstanding"});
  report.add({"queue.written", over(rounds, [&](const Round& round) { return most(round).written_bytes; }),
              "B/job", std::nullopt, "by the broker, to the disk"});
}

void report_peer(const std::string& name, const std::vector<Round>& rounds, Report& report) {
  const auto theirs = [&](const Round& round, size_t n) { return round.lives.at(name).at(n); };
  const auto ours = [](const Round& round, size_t n) { return round.lives.at("life").at(n); };
  const auto add = [&](const std::string& suffix, const std::string& unit, const auto& figure) {
    report.add({"queue." + name + "." + suffix, over(rounds, figure), unit, std::nullopt, ""});
  };
  const auto compare = [&](const std::string& suffix, const auto& ratio, const std::string& note) {
    report.add({"queue.vs_" + name + "." + suffix, over(rounds, ratio), "x", std::nullopt, note});
  };
  for (const size_t n : kOutstanding) {
    add(std::to_string(n), "jobs/s", [&](const Round& round) { return theirs(round, n).rate; });
    compare(
        std::to_string(n), [&](const Round& round) { return ours(round, n).rate / theirs(round, n).rate; },
        "our rate over theirs");
  }
  add("1.p50", "us", [&](const Round& round) { return theirs(round, 1).p50_us; });
  compare(
      "1.p50", [&](const Round& round) { return theirs(round, 1).p50_us / ours(round, 1).p50_us; },
      "their time over ours");
  add("cpu_us", "us/job", [&](const Round& round) { return theirs(round, 1000).cpu_us; });
}

}  // namespace

Result<void> measure_life(const QueueOptions& options, Report& report) {
  const std::vector<Contender> contenders = find_contenders(options.with_peers);
  std::vector<Round> rounds;
  for (size_t i = 0; i < options.n_rounds; ++i) {
    TANDEM_ASSIGN(Round round, run_round(contenders, options.seconds));
    rounds.push_back(std::move(round));
  }
  report_ours(rounds, report);
  for (size_t i = 1; i < contenders.size(); ++i) report_peer(contenders[i].name, rounds, report);
  return {};
}

}  // namespace tandem::bench
