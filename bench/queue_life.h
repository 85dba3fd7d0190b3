// The life of jobs in a queue, ours or another: how all of them are measured.

#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "shared/base/result.h"

namespace tandem::bench {

using Seconds = std::chrono::duration<double>;
inline double seconds_since(std::chrono::steady_clock::time_point begin) {
  return Seconds(std::chrono::steady_clock::now() - begin).count();
}

inline constexpr size_t kPayloadBytes = 512;  // of a job, and of its result

// 512 B that are unlike all before: whoever stores or runs equal payloads once gains nothing.
class Payloads {
 public:
  const std::string& next() {
    for (size_t i = 0; i < 16 && ++bytes_[i] > 'z'; ++i) bytes_[i] = 'a';
    return bytes_;
  }

 private:
  std::string bytes_ = std::string(kPayloadBytes, 'a');
};

// A queue that runs: its server in a process of its own, two workers that have the answer before they were
// asked, and this producer. One thread.
class RunningQueue {
 public:
  virtual ~RunningQueue() = default;
  // Hands jobs in, as many to a write as it can; waits for nothing. Every job is answered after it is stored.
  virtual void submit(size_t n_jobs) = 0;
  // Waits a moment for outcomes and says how many came.
  virtual size_t hear() = 0;
  virtual pid_t server() const = 0;
};

struct Life {
  double rate = 0;                // jobs/s, from submitted to outcome heard
  double p50_us = 0, p99_us = 0;  // of one job, where one is outstanding at a time
  double cpu_us = 0;              // of the server, for each job
  double written_bytes = 0;       // by the server, for each job
};

// Submits a job for each outcome heard, for so long. kTimeout when no outcome comes for 20 s.
Result<Life> keep_flowing(RunningQueue& queue, Seconds time);

// With `n_outstanding` jobs on their way all the time. A fifth of the time goes before as warm-up; all jobs
// are heard of in the end.
Result<Life> live(RunningQueue& queue, size_t n_outstanding, Seconds time);

}  // namespace tandem::bench
