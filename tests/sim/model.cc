#include "tests/sim/model.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace tandem::broker::sim {
namespace {

template <typename M>
bool somebody_asked(const std::vector<Event>& heard, const JobId& id) {
  return std::any_of(heard.begin(), heard.end(), [&](const Event& event) {
    const auto* message = std::get_if<M>(&event.message);
    return message != nullptr &&
           std::find(message->ids.begin(), message->ids.end(), id) != message->ids.end();
  });
}

}  // namespace

const ModelJob* Model::find(const JobId& id) const {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

bool Model::ever_came_to(const JobId& id, const Error& error, const Bytes& payload) const {
  const auto found = ever_.find(id);
  return found != ever_.end() && found->second.contains({error.text, payload.to_string()});
}

void Model::commit(const FactBatch& facts, const std::vector<Event>& heard) {
  // What is forgotten was there before; a revived job may end again in the same turn.
  forget(facts, heard);
  for (const AcceptedFact& fact : facts.accepted) {
    if (jobs_.contains(fact.id)) world_.wrong("job " + fact.id.to_string() + " was accepted twice");
    if (by_fact_.contains(fact.sequence)) world_.wrong("a sequence was used twice");
    ModelJob job;
    job.accepted = fact;
    job.not_before = world_.now;
    if (fact.not_before_ms != 0) job.not_before += milliseconds(fact.not_before_ms - fact.wall_ms);
    if (fact.expires_ms != 0) job.deadline = world_.now + milliseconds(fact.expires_ms - fact.wall_ms);
    job.first_deadline = job.deadline;
    jobs_[fact.id] = std::move(job);
    by_fact_[fact.sequence] = fact.id;
    ever_[fact.id];
    ++n_unfinished_;
  }
  for (const FinishedFact& fact : facts.finished) {
    const auto found = jobs_.find(fact.id);
    if (found == jobs_.end() || found->second.finished || found->second.accepted.sequence != fact.accepted) {
      world_.wrong("job " + fact.id.to_string() + " finished twice, or without being accepted");
      continue;
    }
    check_outcome(found->second, fact, heard);
    found->second.finished = fact;
    found->second.finished_wall_ms = world_.wall_ms();
    by_fact_[fact.sequence] = fact.id;
    ever_[fact.id].insert({fact.error.text, fact.payload.to_string()});
    --n_unfinished_;
  }
  for (const Sequence sequence : facts.acknowledged) {
    const auto found = by_fact_.find(sequence);
    if (found == by_fact_.end()) {
      world_.wrong("the acknowledgement of what is forgotten was written down");
      continue;
    }
    ModelJob& job = jobs_.at(found->second);
    if (!job.is_acknowledged && !asked_too_early_.contains(found->second)) {
      world_.wrong("an acknowledgement was written down that nobody gave");
    }
    job.is_acknowledged = job.is_acknowledged_on_disk = true;
  }
}

void Model::check_outcome(const ModelJob& job, const FinishedFact& fact, const std::vector<Event>& heard) {
  const std::string name = "job " + fact.id.to_string() + " ";
  switch (fact.state) {
    case JobState::kDone:
      if (!fact.payload.view().starts_with("answer to " + job.text() + " by ")) {
        world_.wrong(name + "was given the answer to something else: " + fact.payload.to_string());
      }
      // The result may be of a time before the clock was set back, or of a forgotten job of the same id.
      if (job.not_before > world_.now && !job.was_replayed && !was_ever_forgotten(fact.id))
        world_.wrong(name + "was done before its time");
      break;
    case JobState::kFailed:
      if (!fact.error.text.starts_with("no way to do " + job.text())) {
        world_.wrong(name + "failed without a worker that said so: " + fact.error.text);
      }
      break;
    case JobState::kDead:
      if (fact.attempt < job.accepted.attempts_max) {
        world_.wrong(name + "is dead after " + std::to_string(fact.attempt) + " attempts of " +
                     std::to_string(job.accepted.attempts_max));
      }
      break;
    case JobState::kExpired:
      // The worker was told before the wall clock was set back, or of a forgotten job of the same id.
      if (std::min(job.deadline, job.first_deadline) > world_.now && !was_ever_forgotten(fact.id))
        world_.wrong(name + "expired before its time");
      break;
    case JobState::kCancelled:
      if (!somebody_asked<Cancel>(heard, fact.id)) world_.wrong(name + "was cancelled, and nobody asked");
      break;
    default:
      world_.wrong(name + "finished without being over");
  }
}

void Model::forget(const FactBatch& facts, const std::vector<Event>& heard) {
  const std::set<Sequence> gone(facts.forgotten.begin(), facts.forgotten.end());
  std::set<JobId> concerned;
  for (const Sequence sequence : gone) {
    const auto found = by_fact_.find(sequence);
    if (found == by_fact_.end()) {
      world_.wrong("a fact was forgotten that is not there");
      continue;
    }
    concerned.insert(found->second);
    by_fact_.erase(found);
  }
  for (const JobId& id : concerned) {
    ModelJob& job = jobs_.at(id);
    if (!job.finished) {
      world_.wrong("job " + id.to_string() + " was forgotten before it was over");
    } else if (!gone.contains(job.accepted.sequence)) {  // its outcome only: it lives again
      if (job.finished->state != JobState::kDead || !somebody_asked<Revive>(heard, id)) {
        world_.wrong("job " + id.to_string() + " was put back without being dead, or asked for");
      }
      has_revived_ = true;
      job.finished.reset();
      job.is_acknowledged = job.is_acknowledged_on_disk = false;
      const TimePoint deadline = job.deadline;
      set_times(job);
      if (deadline > world_.now) job.deadline = std::min(job.deadline, deadline);
      job.not_before = TimePoint{};
      ++n_unfinished_;
    } else {
      const auto retention_ms = world_.config.dispatcher.retention.count();
      const bool is_old = job.finished_wall_ms + retention_ms <= world_.wall_ms();
      if (!is_old && !somebody_asked<Forget>(heard, id)) {
        world_.wrong("job " + id.to_string() + " was forgotten before its time");
      }
      if (!gone.contains(job.finished->sequence)) world_.wrong("an outcome was left without its job");
      jobs_.erase(id);
      forgotten_.insert(id);
    }
  }
}

void Model::set_times(ModelJob& job) const {
  // A clock that was set back makes no wait longer than it was.
  const auto at = [&](int64_t wall_ms) {
    return world_.now + milliseconds(wall_ms - std::max(world_.wall_ms(), job.accepted.wall_ms));
  };
  job.not_before = job.accepted.not_before_ms == 0 ? TimePoint{} : at(job.accepted.not_before_ms);
  job.deadline = job.accepted.expires_ms == 0 ? TimePoint::max() : at(job.accepted.expires_ms);
}

void Model::broker_started() {
  for (auto& [id, job] : jobs_) {
    job.was_replayed = true;
    job.is_acknowledged = job.is_acknowledged_on_disk;
    set_times(job);
    if (job.finished) job.deadline = TimePoint::max();  // nobody looks at it, unless it is put back
  }
}

void Model::heard_acknowledge(const Acknowledge& message) {
  for (const JobId& id : message.ids) {
    const auto found = jobs_.find(id);
    if (found == jobs_.end() || found->second.accepted.client != message.client) continue;
    ModelJob& job = found->second;
    if (!job.finished) asked_too_early_.insert(id);
    if (!job.finished || job.is_acknowledged) continue;
    job.is_acknowledged = true;
    job.acknowledged_at = world_.now;
  }
}

void Model::settle_acknowledged(const JobId& id, bool is_acknowledged) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || !found->second.finished || !asked_too_early_.contains(id)) return;
  found->second.is_acknowledged = is_acknowledged;
  found->second.acknowledged_at = world_.now;
}

std::vector<JobId> Model::unacknowledged(const std::string& client) const {
  std::map<Sequence, JobId> in_order;
  for (const auto& [id, job] : jobs_) {
    if (job.finished && !job.is_acknowledged && job.accepted.client == client) {
      in_order[job.finished->sequence] = id;
    }
  }
  std::vector<JobId> ids;
  for (const auto& [sequence, id] : in_order) ids.push_back(id);
  return ids;
}

}  // namespace tandem::broker::sim
