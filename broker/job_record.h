// What the broker keeps in memory of one job, from its acceptance until it is forgotten. Ten million of them
// are to fit, so every field is counted.

#pragma once

#include <algorithm>
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
  // Of a job that was just accepted.
  static JobRecord of(const AcceptedFact& fact, size_t payload_bytes, uint32_t client) {
    JobRecord record;
    record.id = fact.id;
    record.sequence = fact.sequence;
    record.payload_hash = fact.payload_hash;
    record.route = fact.route;
    record.accepted_ms = fact.wall_ms;
    record.expires_ms = fact.expires_ms;
    record.cost = fact.cost;
    record.payload_bytes = static_cast<uint32_t>(payload_bytes);
    record.client = client;
    record.attempts_max = static_cast<uint8_t>(fact.attempts_max);
    record.priority = fact.priority;
    record.urgency = fact.urgency;
    return record;
  }

  JobId id;
  Sequence sequence = 0;  // of its accepted fact
  Hash128 payload_hash;
  uint64_t route = 0;
  int64_t accepted_ms = 0;  // UTC
  int64_t expires_ms = 0;   // UTC; 0: never

  uint32_t cost = 1;
  uint32_t payload_bytes = 0;
  uint32_t client = 0;         // in the ClientTable
  uint32_t attempt = 0;        // leases so far, which is also the number of the newest one
  uint32_t ended_attempt = 0;  // the newest that its worker said to have failed, or gave back
  uint32_t holder = 0;         // kLeased: in the WorkerTable; finished: result_bytes()
  Slot previous = kNoSlot;     // in the list that the job is in: leases of a worker, twins of a job,
  Slot next = kNoSlot;         // outcomes that a client did not acknowledge
  uint8_t tries = 0;           // of the attempts, those that count
  uint8_t losses = 0;          // leases that ended because nothing was heard of it or of its worker
  uint8_t attempts_max = 0;
  uint8_t priority = kPriorityDefault;
  Urgency urgency = Urgency::kBulk;
  JobState state = JobState::kReady;
  Waits waits = Waits::kNothing;
  bool is_acknowledged = false;

  // It is lent under this number. One try, whatever the number: a worker from before a restart brings its
  // own, and it alone does not tell how many of those before it were anybody's fault.
  void begin_attempt(uint32_t number) {
    if (number <= attempt) return;
    attempt = number;
    add_tries(1);
  }
  void add_tries(uint32_t n) { tries = static_cast<uint8_t>(std::min<uint32_t>(tries + n, UINT8_MAX)); }
  // The newest attempt was nobody's fault.
  void excuse() { tries -= tries > 0 ? 1 : 0; }

  // Several workers that had it are gone, or its last attempt is next and one is: it may be what kills them,
  // or it only was there. It goes out alone, to a worker that has nothing else.
  bool goes_alone() const { return losses > 1 || (losses == 1 && tries + 1 >= attempts_max); }

  // From now to `end_ms`, such as expires_ms. If the wall clock was set back, no longer than from the
  // beginning.
  int64_t left_ms(int64_t end_ms, int64_t wall_ms) const {
    return end_ms - (wall_ms < accepted_ms ? accepted_ms : wall_ms);
  }

  // Of a job without an outcome: when its lease began; and until when its lease, or its wait, goes.
  TimePoint leased_at() const { return TimePoint(Duration(first_)); }
  TimePoint until() const { return TimePoint(Duration(second_)); }
  void set_leased_at(TimePoint time) { first_ = time.time_since_epoch().count(); }
  void set_until(TimePoint time) { second_ = time.time_since_epoch().count(); }
  // Of a finished job: the sequence of its finished fact, 0 for others; and when that was, UTC.
  Sequence finished() const { return is_finished(state) ? static_cast<Sequence>(first_) : 0; }
  int64_t finished_ms() const { return second_; }
  void set_finished(Sequence fact, int64_t wall_ms, size_t n_bytes = 0) {
    first_ = static_cast<int64_t>(fact);
    second_ = wall_ms;
    holder = static_cast<uint32_t>(n_bytes);
  }
  uint32_t result_bytes() const { return is_finished(state) ? holder : 0; }
  // What both of its facts take in the journal.
  uint64_t kept_bytes() const { return journal_bytes(payload_bytes) + journal_bytes(result_bytes()); }

 private:
  int64_t first_ = 0, second_ = 0;
};
static_assert(sizeof(JobRecord) <= 120, "ten million jobs in 2 GB");

}  // namespace tandem::broker
