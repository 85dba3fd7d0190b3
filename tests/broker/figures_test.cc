// The names and values that graphs and alarms are made of: whoever changes one breaks somebody's.

#include "broker/figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "broker/minute_line.h"
#include "tests/support/process.h"
#include "tests/support/prometheus_text.h"

namespace tandem::broker {
namespace {

using namespace std::chrono_literals;
using tandem::testing::read_prometheus;

BrokerFigures busy() {
  BrokerFigures figures;
  figures.n_ready = 7;
  figures.n_delayed = 2;
  figures.n_leased = 3;
  figures.oldest_ready_ms = 2'500;
  figures.n_clients = 4;
  figures.n_workers = 1;
  figures.workers = {{"ann", "host7", 3, 8, 20, false}, {"bob", "host7", 0, 8, 5, true}};
  figures.counters.accepted = 100;
  figures.counters.finished = 88;
  figures.counters.failed = 10;
  figures.counters.dead = 4;
  figures.counters.expired = 3;
  figures.counters.cancelled = 2;
  for (const int ms : {0, 3, 70'000, -5}) figures.counters.ready_ms.add(ms);
  figures.counters.misplaced = 9;
  figures.ports.unreadable = 6;
  figures.commits.us.add(800);
  figures.commits.facts.add(17);
  figures.journal = {1'000, 4'000};
  return figures;
}

TEST(FiguresTest, EveryFigureHasItsNameAndUnit) {
  const auto page = read_prometheus(metrics_of(busy()).text());
  ASSERT_EQ(page.error, "");
  EXPECT_EQ(page.at("tandem_queue_depth{state=\"ready\"}"), 7);
  EXPECT_EQ(page.at("tandem_queue_depth{state=\"delayed\"}"), 2);
  EXPECT_EQ(page.at("tandem_queue_depth{state=\"leased\"}"), 3);
  EXPECT_EQ(page.at("tandem_queue_oldest_ready_seconds"), 2.5);
  EXPECT_EQ(page.at("tandem_jobs_accepted_total"), 100);
  EXPECT_EQ(page.at("tandem_jobs_finished_total{outcome=\"done\"}"), 78);
  EXPECT_EQ(page.at("tandem_jobs_finished_total{outcome=\"failed\"}"), 1);
  EXPECT_EQ(page.at("tandem_jobs_finished_total{outcome=\"dead\"}"), 4);
  EXPECT_EQ(page.at("tandem_jobs_finished_total{outcome=\"expired\"}"), 3);
  EXPECT_EQ(page.at("tandem_jobs_finished_total{outcome=\"cancelled\"}"), 2);
  EXPECT_EQ(page.at("tandem_job_stage_seconds_bucket{stage=\"ready\",le=\"0.001\"}"), 2);
  EXPECT_EQ(page.at("tandem_job_stage_seconds_bucket{stage=\"ready\",le=\"60\"}"), 3);
  EXPECT_EQ(page.at("tandem_job_stage_seconds_count{stage=\"ready\"}"), 4);
  EXPECT_DOUBLE_EQ(page.at("tandem_job_stage_seconds_sum{stage=\"ready\"}"), 70.003);
  EXPECT_EQ(page.at("tandem_journal_commit_seconds_bucket{le=\"0.0005\"}"), 0);
  EXPECT_EQ(page.at("tandem_journal_commit_seconds_bucket{le=\"0.001\"}"), 1);
  EXPECT_EQ(page.at("tandem_journal_commit_facts_sum"), 17);
  EXPECT_EQ(page.at("tandem_journal_used_bytes"), 1'000);
  EXPECT_EQ(page.at("tandem_journal_limit_bytes"), 4'000);
  EXPECT_EQ(page.at("tandem_messages_dropped_total{reason=\"unreadable\"}"), 6);
  EXPECT_EQ(page.at("tandem_messages_dropped_total{reason=\"misplaced\"}"), 9);
  EXPECT_EQ(page.at("tandem_workers"), 1);
  EXPECT_EQ(page.at("tandem_worker_leased_jobs{worker=\"ann\",host=\"host7\"}"), 3);
  EXPECT_EQ(page.at("tandem_worker_credit_jobs{worker=\"ann\",host=\"host7\"}"), 8);
  EXPECT_EQ(page.at("tandem_worker_credit_jobs{worker=\"bob\",host=\"host7\"}"), 0);
  EXPECT_EQ(page.at("tandem_clients"), 4);
}

// Prometheus's own opinion of the names. promtool comes with Debian's package prometheus, 96 MB that this
// project does not ask for; version 2.42 had nothing to say against the pages of broker and worker when they
// were made.
TEST(FiguresTest, PromtoolAcceptsThePage) {
  const auto there = tandem::testing::run_process({"/bin/sh", "-c", "command -v promtool"});
  if (there.status != 0) GTEST_SKIP() << "promtool is not installed (Debian: prometheus)";
  const auto checked =
      tandem::testing::run_process({"/bin/sh", "-c", "promtool check metrics"},
                                   {.input = metrics_of(busy()).text(), .environment = {}, .output_dir = ""});
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
  EXPECT_EQ(checked.out + checked.err, "");
}

TEST(FiguresTest, TheDispatcherIsCopiedAsItIs) {
  Dispatcher dispatcher(DispatcherConfig{});
  const TimePoint now{1h};
  dispatcher.start(now, 1'000'000);
  const auto submit =
      Submit{1, "carl", {{job_id_from_key("a"), 0, 1, 0, "x"}, {job_id_from_key("b"), 0, 1, 0, "y"}}};
  dispatcher.turn({now, 1'000'000}, {{{Door::kSubmit, "c"}, submit},
                                     {{Door::kWork, "w"}, Hello{"ann", "host7", "model", 1, {}, {}}}});
  dispatcher.turn({now + 4s, 1'004'000}, {});
  const BrokerFigures figures = figures_of(dispatcher, 1'004'000);
  EXPECT_EQ(figures.n_ready, 1u);
  EXPECT_EQ(figures.n_leased, 1u);
  EXPECT_EQ(figures.oldest_ready_ms, 4'000u);
  EXPECT_EQ(figures.n_clients, 1u);
  EXPECT_EQ(figures.counters.accepted, 2u);
  ASSERT_EQ(figures.workers.size(), 1u);
  EXPECT_EQ(figures.workers[0].name, "ann");
  EXPECT_EQ(figures.workers[0].host, "host7");
  EXPECT_EQ(figures.workers[0].n_leased, 1u);
}

TEST(MinuteLineTest, ALineComesAMinuteAfterTheFirstEventAndTellsOfAll) {
  MinuteLine line;
  DispatcherCounters counters;
  TimePoint now{1h};
  EXPECT_FALSE(line.look(counters, now));
  EXPECT_FALSE(line.next());

  counters.accepted = 5;
  EXPECT_FALSE(line.look(counters, now));
  EXPECT_EQ(line.next(), now + 1min);
  counters.accepted = 8;
  counters.finished = 3;
  EXPECT_FALSE(line.look(counters, now + 59s));
  EXPECT_EQ(line.look(counters, now + 60s), (MinuteFigures{8, 0, 3, 0}));
  EXPECT_FALSE(line.next());

  // Nothing for an idle day; then from where it was.
  EXPECT_FALSE(line.look(counters, now + 24h));
  counters.finished = 4;
  EXPECT_FALSE(line.look(counters, now + 24h));
  EXPECT_EQ(line.look(counters, now + 24h + 1min), (MinuteFigures{0, 0, 1, 0}));
}

}  // namespace
}  // namespace tandem::broker
