#include "broker/figures.h"

namespace tandem::broker {
namespace {

constexpr size_t kWorkersMax = 1'000;

double number(uint64_t value) {
  return static_cast<double>(value);
}

void add_queue(MetricPage& page, const BrokerFigures& figures) {
  const std::string
      depth = "tandem_queue_depth",
      depth_help = "Jobs without an outcome, by what they wait for; those that joined wait for an equal one.";
  page.gauge(depth, depth_help, number(figures.n_ready), {{"state", "ready"}});
  page.gauge(depth, depth_help, number(figures.n_joined), {{"state", "joined"}});
  page.gauge(depth, depth_help, number(figures.n_delayed), {{"state", "delayed"}});
  page.gauge(depth, depth_help, number(figures.n_leased), {{"state", "leased"}});
  page.gauge("tandem_queue_oldest_ready_seconds",
             "How long the job that has waited longest for a worker has been here.",
             number(figures.oldest_ready_ms) / 1000);
  page.gauge("tandem_jobs_kept", "Finished jobs whose outcome can be fetched.",
             number(figures.n_finished_kept));
  page.gauge("tandem_jobs_dead", "Of those, the ones given up: tandem dead lists them.",
             number(figures.n_dead_kept));
  page.gauge("tandem_clients", "Clients with jobs here, finished ones too, or with some a moment ago.",
             number(figures.n_clients));
}

void add_jobs(MetricPage& page, const DispatcherCounters& counters) {
  page.counter("tandem_jobs_accepted_total", "Jobs written down.", number(counters.accepted));
  page.counter("tandem_jobs_refused_total", "Jobs not accepted: a limit, a full journal, a mistake.",
               number(counters.refused));
  const std::string finished = "tandem_jobs_finished_total", finished_help = "Jobs that have an outcome.";
  const uint64_t failed = counters.failed - counters.dead - counters.expired - counters.cancelled;
  page.counter(finished, finished_help, number(counters.finished - counters.failed), {{"outcome", "done"}});
  page.counter(finished, finished_help, number(failed), {{"outcome", "failed"}});
  page.counter(finished, finished_help, number(counters.dead), {{"outcome", "dead"}});
  page.counter(finished, finished_help, number(counters.expired), {{"outcome", "expired"}});
  page.counter(finished, finished_help, number(counters.cancelled), {{"outcome", "cancelled"}});
  page.counter("tandem_jobs_joined_total", "Jobs that waited for an equal one in place of running.",
               number(counters.joined));
  page.counter("tandem_jobs_redelivered_total", "Leases after a job's first.", number(counters.redelivered));
  page.counter("tandem_jobs_returned_total", "Jobs that a busy worker gave back for an idle one.",
               number(counters.returned));
  page.counter("tandem_leases_lost_total",
               "Leases that ran out, or that a worker did not know on its return.",
               number(counters.leases_lost));
  page.counter("tandem_results_without_room_total", "Results that the journal had no room for.",
               number(counters.without_room));
  page.counter("tandem_results_late_total", "Results for jobs that are over, unknown, or not lent.",
               number(counters.late_results));
  const std::string stage = "tandem_job_stage_seconds";
  const std::string stage_help =
      "Ready: accepted to first leased. Leased: to the result, of the lease that brought it. Total: accepted "
      "to done.";
  page.histogram(stage, stage_help, counters.ready_ms, 1e3, {{"stage", "ready"}});
  page.histogram(stage, stage_help, counters.leased_ms, 1e3, {{"stage", "leased"}});
  page.histogram(stage, stage_help, counters.total_ms, 1e3, {{"stage", "total"}});
}

void add_journal(MetricPage& page, const BrokerFigures& figures) {
  page.histogram("tandem_journal_commit_seconds", "One transaction, until the disk has it.",
                 figures.commits.us, 1e6);
  page.histogram("tandem_journal_commit_facts", "Jobs accepted and finished in one transaction.",
                 figures.commits.facts, 1);
  page.gauge("tandem_journal_used_bytes", "Of the journal; pages that were freed are not counted.",
             number(figures.journal.bytes_used));
  page.gauge("tandem_journal_limit_bytes", "What the journal can grow to, as journal.bytes_max says.",
             number(figures.journal.bytes_max));
}

void add_messages(MetricPage& page, const BrokerFigures& figures) {
  const std::string name = "tandem_messages_dropped_total";
  const std::string help =
      "Unreadable: were no messages. Unsent: for peers that are gone or do not read. Forbidden: not allowed "
      "by the "
      "sender's key. Misplaced: at the wrong socket.";
  page.counter(name, help, number(figures.ports.unreadable), {{"reason", "unreadable"}});
  page.counter(name, help, number(figures.ports.unsent), {{"reason", "unsent"}});
  page.counter(name, help, number(figures.ports.forbidden), {{"reason", "forbidden"}});
  page.counter(name, help, number(figures.counters.misplaced), {{"reason", "misplaced"}});
  page.counter("tandem_connections_refused_total", "Connections with a key that is not in the allow file.",
               number(figures.connections_refused));
}

void add_workers(MetricPage& page, const BrokerFigures& figures) {
  page.gauge("tandem_workers", "Workers that are heard of.", number(figures.n_workers));
  for (const WorkerFigures& worker : figures.workers) {
    const MetricLabels labels = {{"worker", worker.name}, {"host", worker.host}};
    page.gauge("tandem_worker_leased_jobs", "Jobs that are with the worker.", number(worker.n_leased),
               labels);
    page.gauge("tandem_worker_credit_jobs", "Jobs that the worker takes at a time; 0 while it drains.",
               worker.is_draining ? 0 : number(worker.credit_max), labels);
    page.counter("tandem_worker_finished_jobs_total",
                 "Jobs whose outcome the worker brought, since it joined.", number(worker.finished), labels);
  }
}

}  // namespace

BrokerFigures figures_of(const Dispatcher& dispatcher, int64_t wall_ms) {
  BrokerFigures figures;
  figures.n_ready = dispatcher.n_ready();
  figures.n_joined = dispatcher.n_joined();
  figures.n_delayed = dispatcher.n_delayed();
  figures.n_leased = dispatcher.n_leased();
  figures.n_finished_kept = dispatcher.n_finished_kept();
  figures.n_dead_kept = dispatcher.n_dead_kept();
  figures.oldest_ready_ms = dispatcher.oldest_ready_ms(wall_ms);
  figures.n_clients = dispatcher.n_clients();
  figures.counters = dispatcher.counters();
  const WorkerTable& workers = dispatcher.workers();
  figures.n_workers = workers.size();
  for (const auto& [name, number] : workers.all()) {
    if (figures.workers.size() == kWorkersMax) break;
    const Worker& worker = workers[number];
    figures.workers.push_back(
        {name, worker.host, worker.leases.size(), worker.credit_max, worker.finished, worker.is_draining});
  }
  return figures;
}

MetricPage metrics_of(const BrokerFigures& figures) {
  MetricPage page;
  add_queue(page, figures);
  add_jobs(page, figures.counters);
  add_journal(page, figures);
  add_messages(page, figures);
  add_workers(page, figures);
  return page;
}

}  // namespace tandem::broker
