// The two facts of the journal, as values. Everything else the broker knows (ready, leased, which worker) is
// derived from them in memory, so that nothing on disk can contradict anything else.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shared/base/error.h"
#include "shared/base/ids.h"
#include "shared/protocol/messages.h"

namespace tandem::broker {

// A fact's place in the journal: 1, 2, 3 and so on, never used twice while the broker runs. The sequence of
// its accepted fact also is a job's place in the order of arrival. 0 is no fact.
using Sequence = uint64_t;

struct AcceptedFact {
  Sequence sequence = 0;
  JobId id;
  std::string client;  // results are published under "<client>/"
  uint64_t route = 0;
  uint32_t cost = 1;
  uint32_t attempts_max = 0;
  int64_t wall_ms = 0;  // UTC, when it was accepted
  std::string payload;  // opaque

  bool operator==(const AcceptedFact&) const = default;
};

struct FinishedFact {
  Sequence sequence = 0;
  Sequence accepted = 0;  // the sequence of the job's accepted fact
  JobId id;
  uint32_t attempt = 0;              // the lease that brought the outcome; 0 if no worker had it
  JobState state = JobState::kDone;  // kDone or kFailed
  Error error;                       // of a failed job
  std::string worker;                // who sent the outcome; empty if the broker itself decided
  int64_t wall_ms = 0;
  std::string payload;  // opaque; of a done job

  bool operator==(const FinishedFact&) const = default;
};

// What one turn writes down, in one transaction.
struct FactBatch {
  std::vector<AcceptedFact> accepted;
  std::vector<FinishedFact> finished;
  std::vector<Sequence> forgotten;  // facts of finished jobs whose retention is over

  bool empty() const { return accepted.empty() && finished.empty() && forgotten.empty(); }
};

}  // namespace tandem::broker
