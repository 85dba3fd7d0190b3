#include "worker/session/figures.h"

namespace tandem {

MetricPage metrics_of(const SessionFigures& figures) {
  const auto number = [](uint64_t value) { return static_cast<double>(value); };
  MetricPage page;
  page.gauge("tandem_session_held_jobs", "Jobs that the worker has.", number(figures.n_held));
  page.gauge("tandem_session_credit_jobs", "Jobs that the worker takes at a time; 0 when it stops.",
             number(figures.credit_max));
  page.gauge("tandem_session_broker_there",
             "1 when the worker is welcome at a broker, 0 while it looks for one.",
             figures.is_welcome ? 1 : 0);
  page.counter("tandem_session_leases_total", "Jobs that came from the broker.", number(figures.leased));
  const char* const results = "tandem_session_results_total";
  const char* const help =
      "Jobs that the worker finished. Expired: their time was over before they were begun.";
  page.counter(results, help, number(figures.done), {{"outcome", "done"}});
  page.counter(results, help, number(figures.failed), {{"outcome", "failed"}});
  page.counter(results, help, number(figures.expired), {{"outcome", "expired"}});
  page.counter("tandem_session_returned_total", "Jobs given back before they were begun.",
               number(figures.returned));
  page.counter("tandem_session_cancelled_total", "Jobs called off by the broker.", number(figures.cancelled));
  page.counter("tandem_session_parts_dropped_total", "Parts of streamed answers for which there was no room.",
               number(figures.parts_dropped));
  return page;
}

}  // namespace tandem
