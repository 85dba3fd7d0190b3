// What workers say: Hello, Ready, Heartbeat, Goodbye, Returned, Result, Partial.

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "broker/dispatcher.h"
#include "shared/base/printable.h"

namespace tandem::broker {
namespace {

// A worker is not asked at once for a result that found no room.
constexpr milliseconds kNoRoomPause{1'000};
// Attempts are counted by the broker. It does not know those from before it started, but a larger number than
// this was made up: only a job that is given back all the time is lent more often than its attempts_max.
constexpr uint32_t kOldAttemptMax = 1'000;

// Parts are best effort: where thousands wait for the same answer, those that came first are told of its
// parts.
constexpr size_t kTwinPartsPerTurn = 1'000;

// Doubles from attempt to attempt; between half of it and all of it, by the job's id, so that jobs that
// failed together do not come back together.
milliseconds pause_after(const DispatcherConfig& config, const JobRecord& job) {
  const uint32_t n_failed = std::clamp<uint32_t>(job.tries, 1, 20);
  const milliseconds pause = std::min(config.backoff * (1 << (n_failed - 1)), config.backoff_max);
  const std::string_view id(reinterpret_cast<const char*>(job.id.bytes.data()), job.id.bytes.size());
  const uint64_t dice = hash128(id, config.hash_seed + job.attempt).low64() >> 32;
  return pause / 2 + milliseconds(static_cast<int64_t>(dice % static_cast<uint64_t>(pause.count() / 2 + 1)));
}

// They are shown in tables and logs.
Result<void> check_names(const Hello& hello) {
  const auto none = [](std::string_view field, std::string_view expected) {
    return fail(ErrorCode::kInvalid, std::string(field) + ": expected a name" + std::string(expected));
  };
  if (hello.worker.empty()) return none("worker", ", found an empty one");
  if (!is_printable(hello.worker)) return none("worker", " without control characters, found some");
  if (!is_printable(hello.host)) return none("host", " without control characters, found some");
  return {};
}

}  // namespace

void Dispatcher::hear(Turn& turn, const Address& from, const Hello& message) {
  if (auto checked = check_names(message); !checked) {
    ++counters_.misplaced;
    return turn.say(from, Refused{0, std::move(checked).error()});
  }
  // A connection belongs to one worker, the one that spoke last.
  if (Worker* other = workers_.by_peer(from.peer); other != nullptr && other->name != message.worker) {
    const std::string name = other->name;
    for (const Slot job : leases_.of_worker(*other)) {
      give_back(turn, job, "worker '" + name + "' goes by another name now", milliseconds(0));
    }
    workers_.forget(name);
  }
  const Worker* known = workers_.by_name(message.worker);
  const bool is_new_connection = known == nullptr || known->peer != from.peer;
  Worker& worker = workers_.hello(message, from.peer, turn.at.time);
  turn.say(from, Welcome{static_cast<uint32_t>(config_.lease.count()),
                         static_cast<uint32_t>(config_.heartbeat.count())});
  hear_held(turn, worker, message.held);
  if (!is_new_connection) return;

  // What the worker of that name does not hold any more was lost with its old connection. Over the same
  // connection a job may still be on its way, so there only time can tell.
  std::unordered_set<JobId> held;
  for (const HeldLease& lease : message.held) held.insert(lease.id);
  for (const Slot job : leases_.of_worker(worker)) {
    if (held.contains(jobs_[job].id)) continue;
    lose(turn, job, "worker '" + worker.name + "' came back without it");
  }
}

void Dispatcher::hear(Turn&, Worker& worker, const Ready& message) {
  worker.credit_max = message.credit_max;
  worker.cost_max = message.cost_max;
  worker.interactive_extra = message.interactive_extra;
  workers_.update(worker);
}

void Dispatcher::hear(Turn& turn, Worker& worker, const Heartbeat& message) {
  hear_held(turn, worker, message.held);
}

void Dispatcher::hear(Turn& turn, Worker& worker, const Goodbye&) {
  const std::string name = worker.name;
  for (const Slot job : leases_.of_worker(worker)) {
    jobs_[job].excuse();
    give_back(turn, job, "worker '" + name + "' left", milliseconds(0));
  }
  turn.plan.partings.push_back({name, false});
  workers_.forget(name);
}

void Dispatcher::hear(Turn& turn, Worker& worker, const Returned& message) {
  for (const HeldLease& returned : message.held) {
    const Slot job = jobs_.find(returned.id);
    if (job == kNoSlot || leases_.holder(job) != &worker || jobs_[job].attempt != returned.attempt) continue;
    jobs_[job].excuse();
    jobs_[job].ended_attempt = jobs_[job].attempt;
    ++counters_.returned;
    workers_.count_gave_back(worker, turn.at.time);
    give_back(turn, job, "worker '" + worker.name + "' gave it back", milliseconds(0));
  }
}

// The job may be what its worker died of.
void Dispatcher::lose(Turn& turn, Slot job, const std::string& reason) {
  ++counters_.leases_lost;
  JobRecord& record = jobs_[job];
  if (record.losses < UINT8_MAX) ++record.losses;
  give_back(turn, job, reason, record.losses > 1 ? pause_after(config_, record) : milliseconds(0));
}

// What is lent in this broker's life has a number that it gave. Before, there were other numbers, but only
// for what is in the journal and did not have to wait for its time to come.
bool Dispatcher::may_be_lent(Slot job, uint32_t attempt) const {
  const JobRecord& record = jobs_[job];
  if (attempt <= record.attempt) return attempt > 0;
  const bool waits_to_begin = record.waits == Waits::kTime && record.attempt == 0;
  return record.sequence <= last_replayed_ && !waits_to_begin && attempt <= kOldAttemptMax;
}

// The worker works on these. Its own leases are renewed; a job that waits for a worker has found one; one
// that somebody else works on is left to both, and the first result wins; one that is over is called off.
void Dispatcher::hear_held(Turn& turn, Worker& worker, const std::vector<HeldLease>& held) {
  Cancel over;
  for (const HeldLease& named : held) {
    const Slot job = jobs_.find(named.id);
    if (job == kNoSlot || is_finished(jobs_[job].state)) {
      over.ids.push_back(named.id);
    } else if (!may_be_lent(job, named.attempt)) {
      continue;
    } else if (const Worker* holder = leases_.holder(job); holder == nullptr) {
      // A heartbeat that was overtaken by the news that the attempt failed, or that the job was returned.
      const JobRecord& record = jobs_[job];
      if (named.attempt <= record.ended_attempt) continue;
      detach(job);
      flights_.lead_if_free(job);
      leases_.grant(job, worker, named.attempt, turn.at.time);
    } else if (holder == &worker) {
      leases_.renew(job, named.attempt, turn.at.time);
    }
  }
  if (!over.ids.empty()) turn.say({Door::kWork, worker.peer}, std::move(over));
}

void Dispatcher::hear(Turn& turn, ResultMessage message) {
  Worker* worker = workers_.by_name(message.worker);
  for (size_t i = 0; i < message.items.size(); ++i) {
    jobs_.prefetch(message.items, i);
    hear_result(turn, message.worker, worker, message.items[i]);
  }
}

void Dispatcher::hear_result(Turn& turn, const std::string& worker_name, Worker* worker, ResultItem& item) {
  const Slot job = jobs_.find(item.id);
  if (job == kNoSlot || is_finished(jobs_[job].state) || !may_be_lent(job, item.attempt)) {
    ++counters_.late_results;
    return;
  }
  JobRecord& record = jobs_[job];
  const Worker* holder = leases_.holder(job);
  const bool is_holder = holder != nullptr && holder == worker && record.attempt == item.attempt;
  const bool is_error = !item.error.text.empty();

  if (is_error && item.retry) {
    // Only the lease that failed can fail; an older one may not end the attempt that followed it.
    if (!is_holder) {
      ++counters_.late_results;
      return;
    }
    record.ended_attempt = item.attempt;
    return give_back(turn, job, "worker '" + worker_name + "': " + item.error.text,
                     pause_after(config_, record));
  }

  // As many of those that wait for the same as there is room for: the others run, and come here, again.
  const uint64_t n_bytes = journal_bytes(item.payload.size());
  const uint64_t n_fit = is_error ? SIZE_MAX : turn.at.result_room_bytes / n_bytes;
  if (n_fit == 0) {
    ++counters_.without_room;
    if (!is_holder) return;
    record.excuse();
    record.ended_attempt = item.attempt;
    return give_back(turn, job, "the journal had no room for its result", kNoRoomPause);
  }
  if (!is_error) turn.at.result_room_bytes -= n_bytes * std::min<uint64_t>(n_fit, 1 + flights_.n_twins(job));

  // An outcome is welcome from anybody who was lent the job, at any time: the first one wins.
  if (is_holder) {
    counters_.leased_ms.add((turn.at.time - record.leased_at()) / milliseconds(1));
    leases_.end(job);
  } else if (holder == worker && holder != nullptr) {
    leases_.end(job);
  } else {
    call_off(turn, job);
  }
  if (worker != nullptr) {
    ++worker->finished;
    worker->gave_back_at = {};
  }

  FinishedFact outcome;
  outcome.attempt = item.attempt;
  outcome.state = is_error ? JobState::kFailed : JobState::kDone;
  // A worker that looks at the time, too. It is the job's own time, not that of those that wait for the same.
  if (is_error && item.error.code == ErrorCode::kExpired && record.expires_ms != 0) {
    outcome.state = JobState::kExpired;
  }
  outcome.error = std::move(item.error);
  outcome.worker = worker_name;
  if (!is_error) outcome.payload = std::move(item.payload);
  finish(turn, job, std::move(outcome), n_fit - 1);
}

void Dispatcher::hear(Turn& turn, Partial message) {
  const Worker* worker = workers_.by_name(message.worker);
  const auto add = [&](Slot job, const PartialItem& item) {
    Partial& partial = turn.plan.partials[clients_[jobs_[job].client].name];
    partial.worker = message.worker;
    partial.items.push_back({jobs_[job].id, item.attempt, item.payload});
  };
  for (const PartialItem& item : message.items) {
    const Slot job = jobs_.find(item.id);
    if (job == kNoSlot || leases_.holder(job) == nullptr || leases_.holder(job) != worker ||
        jobs_[job].attempt != item.attempt) {
      continue;
    }
    add(job, item);
    flights_.for_twins(job, [&](Slot twin) {
      if (turn.n_twin_parts++ >= kTwinPartsPerTurn) return false;
      add(twin, item);
      return true;
    });
  }
}

}  // namespace tandem::broker
