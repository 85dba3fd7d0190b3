// The unfinished jobs, by id and in order of arrival.

#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "broker/facts.h"
#include "shared/base/assert.h"

namespace tandem::broker {

struct JobRecord {
  Sequence sequence = 0;  // of its accepted fact
  JobId id;
  std::string client;
  uint64_t route = 0;
  uint32_t cost = 1;
  uint32_t attempts_max = 0;
  size_t payload_bytes = 0;
  int64_t accepted_ms = 0;

  JobState state = JobState::kReady;  // or kLeased
  uint32_t attempt = 0;               // leases so far, which is also the number of the newest one
  uint32_t excused = 0;               // of those, the ones not counted against attempts_max
  uint32_t failed_attempt = 0;        // the newest that its worker reported as failed
};

// Records stay where they are until erased. One thread.
class JobTable {
 public:
  // `record.id` and `record.sequence` are new, and the sequence is the largest so far.
  JobRecord& add(JobRecord record) {
    const Sequence sequence = record.sequence;
    const bool is_new = sequence_of_.emplace(record.id, sequence).second;
    TANDEM_ASSERT(is_new, "a job is accepted once");
    return by_sequence_.emplace_hint(by_sequence_.end(), sequence, std::move(record))->second;
  }

  JobRecord* find(const JobId& id) {
    const auto found = sequence_of_.find(id);
    return found == sequence_of_.end() ? nullptr : &at(found->second);
  }

  JobRecord& at(Sequence sequence) {
    const auto found = by_sequence_.find(sequence);
    TANDEM_ASSERT(found != by_sequence_.end(), "leases and the ready queue hold unfinished jobs only");
    return found->second;
  }

  void erase(const JobRecord& record) {
    const Sequence sequence = record.sequence;
    sequence_of_.erase(record.id);
    by_sequence_.erase(sequence);
  }

  size_t size() const { return by_sequence_.size(); }

  // Oldest first.
  const std::map<Sequence, JobRecord>& in_order() const { return by_sequence_; }

 private:
  std::map<Sequence, JobRecord> by_sequence_;
  std::unordered_map<JobId, Sequence> sequence_of_;
};

}  // namespace tandem::broker
