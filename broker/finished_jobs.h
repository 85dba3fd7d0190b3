// The finished jobs that are still kept: when each is forgotten, and which of them are dead.

#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "broker/job_table.h"

namespace tandem::broker {

// One thread.
class FinishedJobs {
 public:
  // The table outlives it.
  FinishedJobs(JobTable& jobs, int64_t retention_ms) : jobs_(&jobs), retention_ms_(retention_ms) {}

  // The job has its outcome, later than all before it.
  void add(Slot job) {
    order_.push_back({(*jobs_)[job].finished(), job});
    if ((*jobs_)[job].state == JobState::kDead) dead_.emplace((*jobs_)[job].finished(), job);
    ++size_;
  }
  // The job is forgotten, or not finished any more. To be told before its record changes.
  void remove(Slot job) {
    dead_.erase((*jobs_)[job].finished());
    --size_;
  }

  size_t size() const { return size_; }
  const std::map<Sequence, Slot>& dead() const { return dead_; }  // in the order in which they died

  // The job of a finished fact, if it is kept; kNoSlot otherwise.
  Slot find(Sequence finished) const {
    const auto found = std::lower_bound(order_.begin(), order_.end(), finished,
                                        [](const Entry& entry, Sequence at) { return entry.finished < at; });
    if (found == order_.end() || found->finished != finished || !is_kept(*found)) return kNoSlot;
    return found->job;
  }

  // Those that finished `retention_ms` ago or earlier, oldest first and `n_max` at most; with
  // `also_acknowledged` those, too, that have arrived where they are wanted. Only facts below `before`. They
  // are still there: remove() them.
  std::vector<Slot> due(int64_t wall_ms, size_t n_max, Sequence before, bool also_acknowledged) {
    std::vector<Slot> taken;
    for (skip_gone(); taken.size() < n_max && !order_.empty(); skip_gone()) {
      const JobRecord& job = (*jobs_)[order_.front().job];
      const bool is_due = job.finished_ms() + retention_ms_ <= wall_ms;
      if (job.finished() >= before || !(is_due || (also_acknowledged && job.is_acknowledged))) break;
      taken.push_back(order_.front().job);
      order_.pop_front();
    }
    return taken;
  }

  // When the oldest is due, in wall time; nothing if none is kept. The wall clock may have been set back
  // between two jobs, so the order of finishing is what counts.
  std::optional<int64_t> next_due_ms() {
    skip_gone();
    if (order_.empty()) return std::nullopt;
    return (*jobs_)[order_.front().job].finished_ms() + retention_ms_;
  }

 private:
  struct Entry {
    Sequence finished = 0;
    Slot job = kNoSlot;
  };
  bool is_kept(const Entry& entry) const { return (*jobs_)[entry.job].finished() == entry.finished; }
  void skip_gone() {
    while (!order_.empty() && !is_kept(order_.front())) order_.pop_front();
  }

  JobTable* jobs_;
  int64_t retention_ms_;
  std::deque<Entry> order_;
  std::map<Sequence, Slot> dead_;
  size_t size_ = 0;
};

}  // namespace tandem::broker
