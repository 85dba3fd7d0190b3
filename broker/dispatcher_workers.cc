// What workers say: Hello, Ready, Heartbeat, Goodbye, Result, Partial.

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "broker/dispatcher.h"

namespace tandem::broker {
namespace {

// Attempts are counted by the broker; a larger number than this was made up.
constexpr uint32_t kAttemptNumberMax = 1'000'000;

}  // namespace

void Dispatcher::hear(Turn& turn, const Address& from, const Hello& message) {
  if (message.worker.empty()) {
    ++counters_.misplaced;
    return turn.say(from, Refused{0, {ErrorCode::kInvalid, "worker: expected a name, found an empty one"}});
  }
  const Worker* known = workers_.by_name(message.worker);
  const bool is_new_connection = known == nullptr || known->peer != from.peer;
  Worker& worker = workers_.hello(message, from.peer, turn.at.time);
  worker.leased = static_cast<uint32_t>(leases_.of_worker(worker.name).size());
  turn.say(from, Welcome{static_cast<uint32_t>(config_.lease.count()),
                         static_cast<uint32_t>(config_.heartbeat.count())});
  hear_held(turn, worker, message.held);
  if (!is_new_connection) return;

  // What the worker of that name does not hold any more was lost with its old connection. Over the same
  // connection a job may still be on its way, so there only time can tell.
  std::unordered_set<JobId> held;
  for (const HeldLease& lease : message.held) held.insert(lease.id);
  for (const Sequence sequence : leases_.of_worker(worker.name)) {
    JobRecord& record = jobs_.at(sequence);
    if (held.contains(record.id)) continue;
    give_back(turn, record, "worker '" + worker.name + "' came back without it", milliseconds(0));
  }
}

void Dispatcher::hear(Turn&, Worker& worker, const Ready& message) {
  worker.credit_max = message.credit_max;
}

void Dispatcher::hear(Turn& turn, Worker& worker, const Heartbeat& message) {
  hear_held(turn, worker, message.held);
}

void Dispatcher::hear(Turn& turn, Worker& worker, const Goodbye&) {
  const std::string name = worker.name;
  for (const Sequence sequence : leases_.of_worker(name)) {
    JobRecord& record = jobs_.at(sequence);
    record.excused = std::min(record.excused + 1, record.attempt);
    give_back(turn, record, "worker '" + name + "' left", milliseconds(0));
  }
  turn.plan.partings.push_back({name, false});
  workers_.forget(name);
}

// The worker works on these. Its own leases are renewed; a job that waits for a worker has found one; one
// that somebody else works on is left to both, and the first result wins; one that is over is called off.
void Dispatcher::hear_held(Turn& turn, Worker& worker, const std::vector<HeldLease>& held) {
  Cancel over;
  for (const HeldLease& named : held) {
    if (named.attempt == 0 || named.attempt > kAttemptNumberMax) continue;
    JobRecord* record = jobs_.find(named.id);
    if (record == nullptr) {
      over.ids.push_back(named.id);
    } else if (const Lease* lease = leases_.find(record->sequence); lease == nullptr) {
      // A heartbeat that was overtaken by the news that the attempt failed.
      if (named.attempt <= record->failed_attempt) continue;
      ready_.remove(record->client, record->sequence);
      grant(turn, *record, worker, named.attempt);
    } else if (lease->worker == worker.name) {
      leases_.renew(record->sequence, named.attempt, turn.at.time + config_.lease);
    }
  }
  if (!over.ids.empty()) turn.say({Door::kWork, worker.peer}, std::move(over));
}

void Dispatcher::hear(Turn& turn, ResultMessage message) {
  for (ResultItem& item : message.items) hear_result(turn, message.worker, std::move(item));
}

void Dispatcher::hear_result(Turn& turn, const std::string& worker_name, ResultItem item) {
  JobRecord* record = jobs_.find(item.id);
  if (record == nullptr) {
    ++counters_.late_results;
    return;
  }
  const Lease* lease = leases_.find(record->sequence);
  const bool is_holder = lease != nullptr && lease->worker == worker_name && lease->attempt == item.attempt;
  const bool is_error = !item.error.text.empty();

  if (is_error && item.retry) {
    // Only the lease that failed can fail; an older one may not end the attempt that followed it.
    if (!is_holder) {
      ++counters_.late_results;
      return;
    }
    record->failed_attempt = item.attempt;
    const uint32_t n_failed = std::min(record->attempt - record->excused, 20u);
    const milliseconds delay =
        std::min(config_.backoff * (1 << (std::max(n_failed, 1u) - 1)), config_.backoff_max);
    const std::string reason = "worker '" + worker_name + "': " + item.error.text;
    return give_back(turn, *record, reason, delay);
  }

  // An outcome is welcome from anybody who was lent the job, at any time: the first one wins.
  if (lease != nullptr) {
    const Worker* holder = workers_.by_name(lease->worker);
    if (holder != nullptr && lease->worker != worker_name)
      turn.say({Door::kWork, holder->peer}, Cancel{0, {item.id}});
    end_lease(*record);
  } else {
    ready_.remove(record->client, record->sequence);
  }
  if (Worker* worker = workers_.by_name(worker_name)) ++worker->finished;

  FinishedFact outcome;
  outcome.attempt = item.attempt;
  outcome.state = is_error ? JobState::kFailed : JobState::kDone;
  outcome.error = std::move(item.error);
  outcome.worker = worker_name;
  if (!is_error) outcome.payload = std::move(item.payload);
  finish(turn, *record, std::move(outcome));
}

void Dispatcher::hear(Turn& turn, Partial message) {
  for (PartialItem& item : message.items) {
    const JobRecord* record = jobs_.find(item.id);
    const Lease* lease = record == nullptr ? nullptr : leases_.find(record->sequence);
    if (lease == nullptr || lease->worker != message.worker || lease->attempt != item.attempt) continue;
    Partial& partial = turn.plan.partials[record->client];
    partial.worker = message.worker;
    partial.items.push_back(std::move(item));
  }
}

}  // namespace tandem::broker
