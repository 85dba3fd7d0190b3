// The leases: which job is lent to which worker, until when. Kept in the jobs' records, in a list for each
// worker.

#pragma once

#include <optional>
#include <vector>

#include "broker/worker_table.h"

namespace tandem::broker {

// A job has one lease at most. All leases are granted and renewed for the same time, so each worker's list is
// in the order in which they run out. One thread.
class Leases {
 public:
  // Both outlive it.
  Leases(JobTable& jobs, WorkerTable& workers, Duration time)
      : jobs_(&jobs), workers_(&workers), time_(time) {}

  // The job waits for nothing and becomes kLeased. `attempt` is the number of this lease.
  void grant(Slot job, Worker& worker, uint32_t attempt, TimePoint now);
  // The job is leased. The holder says which attempt it works on.
  void renew(Slot job, uint32_t attempt, TimePoint now);
  // The job is leased, and becomes kReady, waiting for nothing.
  void end(Slot job);

  // Null if the job is not leased.
  Worker* holder(Slot job);
  // Those of all workers that have run out; in order of workers' names, each worker's oldest first.
  std::vector<Slot> expired(TimePoint now);
  // None runs out before; nothing when there are none.
  std::optional<TimePoint> earliest_end() const {
    return n_leases_ == 0 ? std::nullopt : std::optional(earliest_);
  }
  std::vector<Slot> of_worker(const Worker& worker) const;  // the one that runs out first is first
  size_t size() const { return n_leases_; }

 private:
  JobTable* jobs_;
  WorkerTable* workers_;
  Duration time_;
  size_t n_leases_ = 0;
  // Not later than the first end: new leases end later than old ones, so it is looked at again only when it
  // has come.
  TimePoint earliest_;
};

}  // namespace tandem::broker
