// The finished jobs that are still kept, and when each is forgotten.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "broker/facts.h"

namespace tandem::broker {

// What is known in memory of a finished job; its error and result are read from the journal.
struct FinishedRecord {
  Sequence accepted = 0;
  Sequence finished = 0;
  int64_t finished_ms = 0;
  uint32_t attempt = 0;
  JobState state = JobState::kDone;
};

// One thread.
class Sweep {
 public:
  explicit Sweep(int64_t retention_ms) : retention_ms_(retention_ms) {}

  // In the order in which jobs finish.
  void add(const JobId& id, const FinishedRecord& record);

  // Null if no such job finished, or it is forgotten.
  const FinishedRecord* find(const JobId& id) const;
  size_t size() const { return records_.size(); }

  // Forgets those that finished `retention_ms` ago or earlier, oldest first and `n_jobs_max` at most, and
  // returns the sequences of both facts of each, for the journal to drop.
  std::vector<Sequence> take_due(int64_t wall_ms, size_t n_jobs_max);

  // When the oldest is due, in wall time; nothing if none is kept. The wall clock may have been set back
  // between two jobs, so the order of finishing is what counts.
  std::optional<int64_t> next_due_ms() const;

 private:
  const int64_t retention_ms_;
  std::unordered_map<JobId, FinishedRecord> records_;
  std::deque<JobId> order_;
};

}  // namespace tandem::broker
