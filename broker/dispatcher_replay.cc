// What the journal tells at start: which jobs there are, and how those ended that did.

#include <algorithm>
#include <chrono>
#include <string>

#include "broker/dispatcher.h"

namespace tandem::broker {

Result<void> Dispatcher::replay(const AcceptedFact& fact, size_t payload_bytes) {
  if (jobs_.find(fact.id) != kNoSlot) {
    return fail(ErrorCode::kCorrupt, "fact " + std::to_string(fact.sequence) + ": job " +
                                         fact.id.to_string() + " is accepted a second time");
  }
  next_sequence_ = fact.sequence + 1;
  last_replayed_ = fact.sequence;
  JobRecord record = JobRecord::of(fact, payload_bytes, clients_.number_of(fact.client, TimePoint{}));
  record.set_finished(0, fact.not_before_ms);  // kept there until start() has put it where it waits
  Client& client = clients_[record.client];
  ++client.n_unfinished;
  client.unfinished_bytes += payload_bytes;
  jobs_.add(record);
  return {};
}

Result<void> Dispatcher::replay(const FinishedFact& fact, size_t payload_bytes) {
  const Slot job = jobs_.find(fact.id);
  if (job == kNoSlot || jobs_[job].sequence != fact.accepted || is_finished(jobs_[job].state)) {
    return fail(ErrorCode::kCorrupt, "fact " + std::to_string(fact.sequence) + ": job " +
                                         fact.id.to_string() + " finished without being accepted before");
  }
  next_sequence_ = fact.sequence + 1;
  JobRecord& record = jobs_[job];
  record.state = fact.state;
  record.set_finished(fact.sequence, fact.wall_ms, payload_bytes);
  record.attempt = fact.attempt;
  keep(job);
  return {};
}

void Dispatcher::replay_acknowledged(Sequence finished) {
  const Slot job = finished_.find(finished);
  if (job == kNoSlot || jobs_[job].is_acknowledged) return;
  set_acknowledged(job);
  finished_.arrived(job);
}

ReplayVisitor replay_into(Dispatcher& dispatcher) {
  return {[&](const AcceptedFact& fact, size_t n_bytes) { return dispatcher.replay(fact, n_bytes); },
          [&](const FinishedFact& fact, size_t n_bytes) { return dispatcher.replay(fact, n_bytes); },
          [&](Sequence finished) { dispatcher.replay_acknowledged(finished); }};
}

void Dispatcher::start(TimePoint now, int64_t wall_ms) {
  started_at_ = next_sweep_ = next_recall_ = now;
  in_grace_ = true;
  // What was replayed may still be with a worker: no twin joins it before that is known.
  jobs_.for_unfinished(0, [&](Slot job) {
    JobRecord& record = jobs_[job];
    const int64_t delay_ms = record.left_ms(record.finished_ms(), wall_ms);
    if (record.expires_ms != 0) {
      const int64_t ttl_ms = std::max<int64_t>(record.left_ms(record.expires_ms, wall_ms), 0);
      expiries_.add(now + milliseconds(ttl_ms), jobs_.ticket(job));
    }
    if (delay_ms > config_.restart_grace.count()) {
      delay(job, now + milliseconds(delay_ms));
    } else {
      recovered_.push(job);
    }
    return true;
  });
}

}  // namespace tandem::broker
