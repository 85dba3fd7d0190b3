// What the broker keeps in memory of one job, from its acceptance until it is forgotten. Ten million of them
// are to fit, so every field is counted.

#pragma once

#include <cstdint>

#include "broker/facts.h"
#include "shared/base/clock.h"

namespace tandem::broker {

// A record's place in the JobTable; used again after the job is forgotten.
using Slot = uint32_t;
inline constexpr Slot kNoSlot = UINT32_MAX;

// What a job that is kReady waits for.
enum class Waits : uint8_t {
  kNothing,  // it is leased or finished
  kTurn,     // in the ready queue
  kTime,     // for its start, or after a failed attempt
  kTwin,     // an equal job is under way, its outcome will be this one's, too
};

struct JobRecord {
  JobId id;
  Sequence sequence = 0;  // of its accepted fact
  Sequence finished = 0;  // of its finished fact; 0 while there is none
  Hash128 payload_hash;
  uint64_t route = 0;
  int64_t accepted_ms = 0;  // UTC
  int64_t expires_ms = 0;   // UTC; 0: never
  int64_t finished_ms = 0;  // UTC
  TimePoint leased_at;      // of the lease it has
  TimePoint until;          // kLeased: the end of its lease. Waits::kTime: of its wait

  uint32_t cost = 1;
  uint32_t payload_bytes = 0;
  uint32_t client = 0;         // in the ClientTable
  uint32_t attempt = 0;        // leases so far, which is also the number of the newest one
  uint32_t excused = 0;        // of those, the ones not counted against attempts_max
  uint32_t ended_attempt = 0;  // the newest that its worker said to have failed, or gave back
  uint32_t holder = 0;         // kLeased: in the WorkerTable
  Slot previous = kNoSlot;     // in the list that the job is in: leases of a worker, twins of a job,
  Slot next = kNoSlot;         // outcomes that a client did not acknowledge
  uint8_t attempts_max = 0;
  uint8_t priority = kPriorityDefault;
  Urgency urgency = Urgency::kBulk;
  JobState state = JobState::kReady;
  Waits waits = Waits::kNothing;
  bool is_acknowledged = false;

  uint32_t n_attempts() const { return attempt - excused; }  // that count
  // From now to `end_ms`, such as expires_ms. If the wall clock was set back, no longer than from the
  // beginning.
  int64_t left_ms(int64_t end_ms, int64_t wall_ms) const {
    return end_ms - (wall_ms < accepted_ms ? accepted_ms : wall_ms);
  }
};
static_assert(sizeof(JobRecord) <= 144, "ten million jobs in 2 GB");

}  // namespace tandem::broker
