// What bench_queue measures, a part each.

#pragma once

#include <cstddef>

#include "bench/queue_life.h"
#include "bench/report.h"

namespace tandem::bench {

struct QueueOptions {
  Seconds seconds{1};   // of each figure in each round
  size_t n_rounds = 5;  // what is compared is measured in turns, and the row is the median of the rounds
  bool with_peers = true;
  size_t n_backlog = 10'000'000;  // jobs
  size_t n_replay = 200'000;      // jobs
  size_t n_crowd = 1'000;         // workers, and as many clients
};

// "queue.life.<n>", "queue.life.1.p50" and so on, beside ceilings; "queue.redis...", "queue.nats..." and
// "queue.vs_redis...", "queue.vs_nats..." where these are installed.
Result<void> measure_life(const QueueOptions& options, Report& report);

// "queue.tcp.1000": over loopback, and "queue.curve": the same with keys.
Result<void> measure_tcp(const QueueOptions& options, Report& report);

// "queue.accept" and "queue.replay": jobs in, none out, and a restart.
Result<void> measure_replay(const QueueOptions& options, Report& report);

// "queue.backlog...": the same of many, and the life of a job behind them. 8 GB of disk for 10,000,000 jobs;
// kFull says what is missing.
Result<void> measure_backlog(const QueueOptions& options, Report& report);

// "queue.crowd..." : the life of a job among many workers and clients. kUnavailable when the process may not
// open as many files.
Result<void> measure_crowd(const QueueOptions& options, Report& report);

// "queue.interactive..." and "queue.bulk...": jobs that somebody waits for, beside many that nobody waits
// for.
Result<void> measure_classes(const QueueOptions& options, Report& report);

}  // namespace tandem::bench
