// The two facts of the journal, as values. Everything else the broker knows (ready, leased, which worker) is
// derived from them in memory, so that nothing on disk can contradict anything else.

#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "shared/base/bytes.h"
#include "shared/base/error.h"
#include "shared/base/hash.h"
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
  Urgency urgency = Urgency::kBulk;
  uint8_t priority = kPriorityDefault;
  int64_t wall_ms = 0;        // UTC, when it was accepted
  int64_t not_before_ms = 0;  // UTC; 0: at once
  int64_t expires_ms = 0;     // UTC; 0: never
  Hash128 payload_hash;       // keyed with the journal's seed: equal for equal payloads, and for no others
  Bytes payload;              // opaque

  bool operator==(const AcceptedFact&) const = default;
};

struct FinishedFact {
  Sequence sequence = 0;
  Sequence accepted = 0;  // the sequence of the job's accepted fact
  JobId id;
  uint32_t attempt = 0;              // the lease that brought the outcome; 0 if no worker had it
  JobState state = JobState::kDone;  // or any other that is finished
  Error error;                       // of a job that is not done
  std::string worker;                // who sent the outcome; empty if the broker itself decided
  int64_t wall_ms = 0;
  Bytes payload;  // opaque; of a done job

  bool operator==(const FinishedFact&) const = default;
};

// What one turn writes down, in one transaction.
struct FactBatch {
  std::vector<AcceptedFact> accepted;
  std::vector<FinishedFact> finished;
  // Facts that are erased: both of a job whose retention is over, the finished one of a job that was revived.
  std::vector<Sequence> forgotten;
  // Finished facts whose outcome has arrived at the client.
  std::vector<Sequence> acknowledged;

  // Facts that are not on disk yet can neither be erased nor taken back.
  bool finishes(Sequence fact) const { return !finished.empty() && fact >= finished.front().sequence; }
  // Null unless it is one of these.
  const AcceptedFact* find_accepted(Sequence fact) const;
  size_t size() const { return accepted.size() + finished.size() + forgotten.size() + acknowledged.size(); }
  bool empty() const { return size() == 0; }
};

inline const AcceptedFact* FactBatch::find_accepted(Sequence fact) const {
  const auto found = std::lower_bound(accepted.begin(), accepted.end(), fact,
                                      [](const AcceptedFact& one, Sequence at) { return one.sequence < at; });
  return found != accepted.end() && found->sequence == fact ? &*found : nullptr;
}

// What a fact takes in the journal, rather too much than too little: names and trees besides the payload, and
// what is longer than half a page has pages of its own.
inline uint64_t journal_bytes(size_t payload_bytes) {
  constexpr uint64_t kPage = 4096;
  const uint64_t n_bytes = payload_bytes + 256;
  return n_bytes < kPage / 2 ? n_bytes : (n_bytes + kPage) / kPage * kPage;
}

inline uint64_t journal_bytes(const FactBatch& facts) {
  uint64_t n_bytes = 0;
  for (const AcceptedFact& fact : facts.accepted) n_bytes += journal_bytes(fact.payload.size());
  for (const FinishedFact& fact : facts.finished) n_bytes += journal_bytes(fact.payload.size());
  return n_bytes;
}

}  // namespace tandem::broker
