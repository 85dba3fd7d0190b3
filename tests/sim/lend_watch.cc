#include <algorithm>
#include <limits>
#include <variant>

#include "tests/sim/watch.h"

namespace tandem::broker::sim {
namespace {

const Worker* worker_at(const SimBroker& broker, const std::string& peer) {
  const WorkerTable& workers = broker.dispatcher().workers();
  for (const auto& [name, number] : workers.all()) {
    if (workers[number].peer == peer) return &workers[number];
  }
  return nullptr;
}

bool is_healthy(const World& world, const Worker& worker) {
  return !worker.is_draining && worker.credit_max > 0 &&
         worker.heard_at > world.now - 3 * world.config.dispatcher.heartbeat;
}

}  // namespace

void LendWatch::look(const SimBroker& broker, const SimBroker::Turn& turn) {
  check_room(broker, turn);
  check_idle(broker);
  if (world_.phase == Phase::kCalm) check_order(turn);
}

void LendWatch::check_room(const SimBroker& broker, const SimBroker::Turn& turn) {
  std::map<const Worker*, std::vector<const ModelJob*>> lent;  // in order
  for (const Speech& speech : turn.plan.speeches) {
    const auto* message = std::get_if<Job>(&speech.message);
    if (message == nullptr) continue;
    const Worker* worker = worker_at(broker, speech.to.peer);
    if (worker == nullptr) {
      world_.wrong("jobs were lent to nobody");
      continue;
    }
    if (!is_healthy(world_, *worker)) world_.wrong(worker->name + " was lent a job, and should not be");
    for (const JobItem& item : message->items) {
      const ModelJob* job = model_.find(item.id);
      if (job == nullptr || job->finished) {
        world_.wrong(describe(model_, item.id) + " was lent, and is over");
        continue;
      }
      // Its time had come before the wall clock was set back, if somebody had it already.
      const bool was_lent = job->was_replayed && item.attempt > 1;
      if (job->not_before > world_.now && !was_lent)
        world_.wrong(describe(model_, item.id) + " was lent before its time");
      if (job->deadline <= world_.now) world_.wrong(describe(model_, item.id) + " was lent after its time");
      lent[worker].push_back(job);
    }
  }
  std::set<JobId> urgent;
  for (const JobStatus& job : turn.after.jobs) {
    if (job.urgency == Urgency::kInteractive) urgent.insert(job.id);
  }
  for (const auto& [worker, jobs] : lent) {
    size_t n_leases = worker->leases.size() - jobs.size();
    uint64_t cost = worker->cost_leased;
    for (const ModelJob* job : jobs) cost -= job->accepted.cost;
    for (const ModelJob* job : jobs) {
      // Lent urgency counts.
      const bool is_interactive = urgent.contains(job->accepted.id);
      if (n_leases >= worker->credit_max + (is_interactive ? worker->interactive_extra : 0)) {
        world_.wrong(worker->name + " was lent beyond its credit");
      }
      if (worker->cost_max != 0 && n_leases > 0 && cost + job->accepted.cost > worker->cost_max) {
        world_.wrong(worker->name + " was lent beyond its cost");
      }
      ++n_leases;
      cost += job->accepted.cost;
    }
  }
}

// Nobody has room while something waits: a worker that counts no cost may have any job, and one without jobs,
// too. Jobs that go out alone wait for a worker without jobs, and it for them.
void LendWatch::check_idle(const SimBroker& broker) {
  const size_t n_ready = broker.dispatcher().n_ready();  // not those that wait for an equal one
  if (n_ready == 0 || broker.is_in_grace()) return;
  const WorkerTable& workers = broker.dispatcher().workers();
  const bool all_go_alone = n_ready <= broker.dispatcher().n_alone();
  for (const auto& [name, number] : workers.all()) {
    const Worker& worker = workers[number];
    if (!worker.leases.empty() && (worker.is_kept_free || all_go_alone)) continue;
    const bool takes_any = worker.leases.empty() || worker.cost_max == 0;
    if (is_healthy(world_, worker) && takes_any && worker.leases.size() < worker.credit_max) {
      world_.wrong(name + " has room, and " + std::to_string(n_ready) + " jobs wait");
    }
  }
}

// Of what was lent nothing stands behind anything that still waits.
void LendWatch::check_order(const SimBroker::Turn& turn) {
  struct Place {
    std::pair<Urgency, uint8_t> rank;
    int64_t deadline;
    Sequence sequence;
    std::string client;
  };
  std::map<std::string, int> n_equal;
  std::set<std::string> on_their_way;
  for (const JobStatus& job : turn.after.jobs) {
    const std::string text = model_.find(job.id)->text();
    ++n_equal[text];
    if (job.state == JobState::kLeased || job.delay_ms > 0) on_their_way.insert(text);
  }
  const auto place_of = [&](const JobStatus& job) {
    const AcceptedFact& fact = model_.find(job.id)->accepted;
    return Place{{job.urgency, job.priority},
                 fact.expires_ms == 0 ? std::numeric_limits<int64_t>::max() : fact.expires_ms,
                 fact.sequence,
                 fact.client};
  };
  std::set<JobId> lent;
  for (const Speech& speech : turn.plan.speeches) {
    if (const auto* message = std::get_if<Job>(&speech.message)) {
      for (const JobItem& item : message->items) lent.insert(item.id);
    }
  }
  for (const JobStatus& waiting : turn.after.jobs) {
    const std::string text = model_.find(waiting.id)->text();
    if (waiting.state != JobState::kReady || on_their_way.contains(text)) continue;
    const Place its = place_of(waiting);
    for (const JobStatus& job : turn.after.jobs) {
      if (!lent.contains(job.id)) continue;
      const Place other = place_of(job);
      if (other.rank < its.rank) {
        world_.wrong(describe(model_, job.id) + " was lent, and the more urgent " +
                     describe(model_, waiting.id) + " waits");
      }
      const bool is_alone = n_equal[text] == 1 && n_equal[model_.find(job.id)->text()] == 1;
      if (is_alone && other.client == its.client && other.rank == its.rank &&
          std::pair(other.deadline, other.sequence) > std::pair(its.deadline, its.sequence)) {
        world_.wrong(describe(model_, job.id) + " was lent, and the earlier " + describe(model_, waiting.id) +
                     " waits");
      }
    }
  }
}

}  // namespace tandem::broker::sim
