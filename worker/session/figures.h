// What a worker tells of itself in figures: a copy at one moment, and its names in Prometheus.

#pragma once

#include <cstdint>

#include "shared/metrics/metric_page.h"

namespace tandem {

// Counts are since the worker started.
struct SessionFigures {
  uint64_t n_held = 0;  // jobs
  uint32_t credit_max = 0;
  bool is_welcome = false;                     // by a broker that is there
  uint64_t leased = 0;                         // jobs that came, again and again perhaps
  uint64_t done = 0, failed = 0, expired = 0;  // results, on their way to the broker
  uint64_t returned = 0;                       // jobs given back before they were begun
  uint64_t cancelled = 0;                      // jobs that nobody wants any more
  uint64_t parts_dropped = 0;                  // of streamed answers
};

MetricPage metrics_of(const SessionFigures& figures);

}  // namespace tandem
