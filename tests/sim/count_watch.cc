#include <algorithm>

#include "tests/sim/watch.h"

namespace tandem::broker::sim {

std::string describe(const Model& model, const JobId& id) {
  const ModelJob* job = model.find(id);
  if (job == nullptr) return "job " + id.to_string() + ", unknown";
  return "job " + id.to_string() + ", '" + job->text() + "' of " + job->accepted.client;
}

void CountWatch::look(const SimBroker& broker, const SimBroker::Turn& turn) {
  compare_jobs(turn);
  compare_clients(turn);
  compare_totals(broker, turn);
  check_published(turn);
  for (const auto& [id, job] : model_.jobs()) {
    if (!job.finished && job.deadline <= world_.now) world_.wrong(describe(model_, id) + " did not expire");
    const bool is_late = job.is_acknowledged && !job.is_acknowledged_on_disk &&
                         world_.now - job.acknowledged_at > milliseconds(1'200);
    if (is_late) world_.wrong("the acknowledgement of " + describe(model_, id) + " is not written down");
  }
}

void CountWatch::compare_jobs(const SimBroker::Turn& turn) {
  const StatusReply& status = turn.after.status;
  size_t n_ready = 0, n_leased = 0, n_delayed = 0, n_dead = 0, n_finished = 0;
  std::map<std::string, uint32_t> leased_to;
  for (const JobStatus& job : turn.after.jobs) {
    const ModelJob* known = model_.find(job.id);
    if (known == nullptr || known->finished) {
      world_.wrong(describe(model_, job.id) + " is listed, and has no business there");
      continue;
    }
    if (job.state == JobState::kLeased) {
      ++n_leased;
      ++leased_to[job.worker];
    } else {
      ++(job.delay_ms > 0 ? n_delayed : n_ready);
    }
  }
  if (turn.after.jobs.size() != model_.n_unfinished()) world_.wrong("jobs without an outcome are not listed");
  for (const auto& [id, job] : model_.jobs()) {
    n_finished += job.finished.has_value();
    n_dead += job.finished && job.finished->state == JobState::kDead;
  }
  const auto compare = [&](const char* what, uint64_t found, uint64_t expected) {
    if (found != expected) {
      world_.wrong(std::string("status: ") + what + " is " + std::to_string(found) + ", and should be " +
                   std::to_string(expected));
    }
  };
  compare("leased", status.leased, n_leased);
  compare("delayed", status.delayed, n_delayed);
  compare("finished_kept", status.finished_kept, n_finished);
  compare("dead_kept", status.dead_kept, n_dead);
  compare("the list of the dead", turn.after.dead.size(), n_dead);
  compare("ready", status.ready, n_ready);
  for (const WorkerStatus& worker : status.workers) {
    compare((worker.name + "'s leased").c_str(), worker.leased, leased_to[worker.name]);
  }
}

void CountWatch::compare_clients(const SimBroker::Turn& turn) {
  std::map<std::string, ClientStatus> clients;
  for (const auto& [id, job] : model_.jobs()) {
    ClientStatus& client = clients[job.accepted.client];
    if (job.finished) continue;
    ++client.unfinished;
    client.unfinished_bytes += job.accepted.payload.size();
  }
  for (const auto& [client, ids] : turn.after.uncollected) {
    for (const JobId& id : model_.acknowledged_too_early()) {
      model_.settle_acknowledged(id, std::find(ids.begin(), ids.end(), id) == ids.end());
    }
    if (ids != model_.unacknowledged(client)) {
      world_.wrong(client + " collects other jobs than those that it did not acknowledge");
    }
  }
  const ClientLimits& limits = world_.config.dispatcher.limits;
  for (const ClientStatus& status : turn.after.status.clients) {
    const ClientStatus& expected = clients[status.name];
    const bool is_right = status.unfinished == expected.unfinished &&
                          status.unfinished_bytes == expected.unfinished_bytes &&
                          status.unacknowledged == model_.unacknowledged(status.name).size();
    if (!is_right) world_.wrong("status: the counts of " + status.name + " are off");
    // Jobs that were put back come on top: they were accepted before.
    if (model_.has_revived()) continue;
    if (limits.jobs_max > 0 && status.unfinished > limits.jobs_max)
      world_.wrong(status.name + " has too many jobs");
    if (limits.bytes_max > 0 && status.unfinished_bytes > limits.bytes_max) {
      world_.wrong(status.name + " has too many bytes");
    }
  }
}

void CountWatch::compare_totals(const SimBroker& broker, const SimBroker::Turn& turn) {
  if (start_ != broker.n_starts()) n_accepted_ = n_finished_ = n_failed_ = 0;
  start_ = broker.n_starts();
  n_accepted_ += turn.plan.facts.accepted.size();
  n_finished_ += turn.plan.facts.finished.size();
  for (const FinishedFact& fact : turn.plan.facts.finished) {
    n_failed_ += fact.state == JobState::kFailed || fact.state == JobState::kDead;
  }
  const StatusReply& status = turn.after.status;
  if (status.accepted_total != n_accepted_ || status.finished_total != n_finished_ ||
      status.failed_total != n_failed_) {
    world_.wrong("status: the totals are off");
  }
}

void CountWatch::check_published(const SimBroker::Turn& turn) {
  const auto& finished = turn.plan.facts.finished;
  std::map<size_t, int> times;
  for (const auto& [client, worker, places] : turn.plan.outcomes) {
    for (const size_t place : places) {
      ++times[place];
      const ModelJob* job = place < finished.size() ? model_.find(finished[place].id) : nullptr;
      if (job == nullptr || job->accepted.client != client)
        world_.wrong("an outcome goes to the wrong client");
    }
  }
  for (size_t place = 0; place < finished.size(); ++place) {
    if (times[place] != 1) world_.wrong(describe(model_, finished[place].id) + " is not published once");
  }
}

}  // namespace tandem::broker::sim
