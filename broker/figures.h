// What a broker tells of itself in figures: a copy at one moment, and its names in Prometheus.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/dispatcher.h"
#include "broker/journal.h"
#include "broker/ports.h"
#include "shared/base/buckets.h"
#include "shared/metrics/metric_page.h"

namespace tandem::broker {

// Since the broker started.
struct CommitFigures {
  Buckets<100, 200, 500, 1'000, 2'000, 5'000, 10'000, 20'000, 50'000, 100'000, 200'000, 500'000, 1'000'000,
          5'000'000>
      us;                                                                          // until the disk had it
  Buckets<1, 2, 5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000> facts;  // accepted and finished
};

struct WorkerFigures {
  std::string name, host;
  uint64_t n_leased = 0;
  uint32_t credit_max = 0;
  uint64_t finished = 0;
  bool is_draining = false;
};

struct BrokerFigures {
  uint64_t n_ready = 0, n_joined = 0, n_delayed = 0, n_leased = 0;
  uint64_t n_finished_kept = 0, n_dead_kept = 0;
  uint64_t oldest_ready_ms = 0;
  uint64_t n_clients = 0;  // with jobs here, finished ones too, or with some a moment ago
  uint64_t n_workers = 0;
  std::vector<WorkerFigures> workers;  // the first thousand by name
  DispatcherCounters counters;
  PortsCounters ports;
  uint64_t connections_refused = 0;
  CommitFigures commits;
  JournalUsage journal;
};

// Copies what it needs; looks at every client, for the oldest job. `commits`, `journal` and what Ports knows
// are left to the caller.
BrokerFigures figures_of(const Dispatcher& dispatcher, int64_t wall_ms);

MetricPage metrics_of(const BrokerFigures& figures);

}  // namespace tandem::broker
