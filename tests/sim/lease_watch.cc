#include <variant>

#include "tests/sim/watch.h"

namespace tandem::broker::sim {

// When did each worker last speak of each of its jobs, and who gave something back of its own will?
void LeaseWatch::note(const SimBroker::Turn& turn) {
  const auto renew = [&](const std::string& worker, const std::vector<HeldLease>& named) {
    for (const HeldLease& lease : named) {
      const auto held = held_.find(lease.id);
      if (held == held_.end() || held->second.worker != worker) continue;
      held->second.named = world_.now;
      // A larger number may be of a time before the broker started, or of a forgotten job of the same id.
      if (lease.attempt <= held->second.attempt) held->second.renewed = world_.now;
    }
  };
  for (const Event& event : turn.heard) {
    const std::string worker = event.from.door == Door::kWork ? worker_at_[event.from.peer] : "";
    if (const auto* hello = std::get_if<Hello>(&event.message)) {
      std::erase_if(worker_at_, [&](const auto& entry) { return entry.second == hello->worker; });
      worker_at_[event.from.peer] = hello->worker;
      gave_up_.insert(hello->worker);  // it may have come back without some
      renew(hello->worker, hello->held);
    } else if (const auto* heartbeat = std::get_if<Heartbeat>(&event.message)) {
      renew(worker, heartbeat->held);
    } else if (std::holds_alternative<Returned>(event.message)) {
      gave_up_.insert(worker);
    } else if (std::holds_alternative<Goodbye>(event.message)) {
      gave_up_.insert(worker);
      worker_at_.erase(event.from.peer);
    } else if (const auto* result = std::get_if<ResultMessage>(&event.message)) {
      for (const ResultItem& item : result->items) {
        if (item.retry) gave_up_.insert(result->worker);
      }
    }
  }
}

void LeaseWatch::look(const SimBroker& broker, const SimBroker::Turn& turn) {
  if (start_ != broker.n_starts()) {
    held_.clear();
    worker_at_.clear();
    start_ = broker.n_starts();
  }
  gave_up_.clear();
  note(turn);
  std::map<JobId, Held> now_held;
  for (const JobStatus& job : turn.after.jobs) {
    const auto before = held_.find(job.id);
    const bool had_one = before != held_.end();
    const bool is_leased = job.state == JobState::kLeased;
    const bool has_the_same = had_one && is_leased && before->second.worker == job.worker;
    if (had_one && !has_the_same) {
      const bool ran_out = world_.now - before->second.renewed >= world_.config.dispatcher.lease;
      if (!ran_out && !gave_up_.contains(before->second.worker)) {
        world_.wrong("job " + job.id.to_string() + " was taken from " + before->second.worker +
                     " under a valid lease, and is " + (is_leased ? "with " + job.worker : "waiting"));
      }
    }
    if (!is_leased) continue;
    Held held{job.worker, job.attempt, world_.now, world_.now};
    if (has_the_same && before->second.attempt == job.attempt) held = before->second;
    now_held[job.id] = std::move(held);
  }
  // A lease that nobody renews ends.
  for (const auto& [id, held] : now_held) {
    if (world_.now - held.named > world_.config.dispatcher.lease) {
      world_.wrong("job " + id.to_string() + " stays with " + held.worker + ", which does not speak of it");
    }
  }
  held_ = std::move(now_held);
  worker_at_.clear();
  for (const auto& [name, number] : broker.dispatcher().workers().all()) {
    worker_at_[broker.dispatcher().workers()[number].peer] = name;
  }
}

}  // namespace tandem::broker::sim
