#include "tests/sim/simulation.h"

#include <algorithm>
#include <set>

namespace tandem::broker::sim {
namespace {

using namespace std::chrono_literals;

// In which everything must have come to its end when nothing fails any more.
constexpr Duration kPatience = 30min;
// In which jobs that wait at a busy worker must have come to an idle one.
constexpr Duration kRecallPatience = 5s;

std::vector<std::string> names(const std::string& what, int n) {
  std::vector<std::string> names;
  for (int i = 0; i < n; ++i) names.push_back(what + std::to_string(i));
  return names;
}

std::vector<std::string> workers_and_hosts(const SimulationConfig& config) {
  std::vector<std::string> both = names("worker", config.n_workers);
  for (const std::string& host : names("host", config.n_hosts)) both.push_back(host);
  return both;
}

}  // namespace

Simulation::Simulation(const SimulationConfig& config)
    : world_(config),
      network_(world_),
      model_(world_),
      broker_(world_, network_, model_),
      operator_(world_, network_, model_, workers_and_hosts(config)),
      counts_(world_, model_),
      leases_(world_),
      lending_(world_, model_),
      shares_(world_, model_),
      flights_(world_, model_) {
  const std::vector<std::string> hosts = names("host", config.n_hosts);
  for (const std::string& name : names("worker", config.n_workers)) {
    workers_.emplace_back(world_, network_, name, hosts[world_.below(hosts.size())]);
  }
  for (const std::string& name : names("client", config.n_clients)) {
    clients_.emplace_back(world_, network_, model_, name);
  }
  add_jobs(config.n_storm_jobs);
}

void Simulation::add_jobs(int n) {
  for (int i = 0; i < n; ++i) clients_[world_.below(clients_.size())].add_job();
}

std::vector<std::string> Simulation::run() {
  const TimePoint storm_ends = world_.now + world_.config.storm;
  while (world_.now < storm_ends && world_.wrongs().empty()) step();

  world_.phase = Phase::kSettling;
  for (SimWorker& worker : workers_) worker.recover();
  operator_.recover();
  if (run_until_all_is_over()) {
    world_.phase = Phase::kCalm;
    add_jobs(world_.config.n_calm_jobs);
    run_until_all_is_over();
  }
  return {world_.wrongs().begin(), world_.wrongs().end()};
}

bool Simulation::run_until_all_is_over() {
  const TimePoint end = world_.now + kPatience;
  while (world_.wrongs().empty() && !is_over()) {
    if (world_.now >= end) {
      for (const SimClient& client : clients_) {
        for (const std::string& job : client.unfinished()) world_.wrong("never came to an end: " + job);
      }
      for (const auto& [id, job] : model_.jobs()) {
        if (!job.finished)
          world_.wrong("on disk and without an outcome: " + describe(model_, id) + " not before " +
                       std::to_string((job.not_before - world_.now) / 1ms));
      }
      return false;
    }
    step();
  }
  return world_.wrongs().empty();
}

bool Simulation::is_over() const {
  return model_.n_unfinished() == 0 &&
         std::all_of(clients_.begin(), clients_.end(),
                     [](const SimClient& client) { return client.is_content(); });
}

void Simulation::step() {
  world_.now += World::kStep;
  if (world_.accident(world_.config.clock_jump)) world_.wall_offset += world_.chance(0.5) ? 1h : -1h;
  for (SimClient& client : clients_) client.step();
  for (SimWorker& worker : workers_) worker.step();
  operator_.step();
  step_broker();
  deliver();
}

void Simulation::step_broker() {
  const auto turn = broker_.turn();
  if (turn) {
    counts_.look(broker_, *turn);
    leases_.look(broker_, *turn);
    lending_.look(broker_, *turn);
    shares_.look(*turn);
    flights_.look(*turn);
    watch_idle_workers(*turn);
  }
  model_.end_turn();
}

void Simulation::deliver() {
  for (Event& letter : network_.at_peers()) {
    const std::string& peer = letter.from.peer;
    if (letter.from.door == Door::kWork) {
      for (SimWorker& worker : workers_) worker.hear(peer, letter.message);
    } else if (peer == SimOperator::kPeer) {
      operator_.hear(letter.message);
    } else {
      for (SimClient& client : clients_) {
        if (peer == peer_of_client(client.name())) client.hear(letter.message);
      }
    }
  }
}

// What is lent and not begun is had back when another worker has nothing to do.
void Simulation::watch_idle_workers(const SimBroker::Turn& turn) {
  const bool somebody_waits = std::any_of(workers_.begin(), workers_.end(),
                                          [](const SimWorker& worker) { return worker.n_waiting() > 0; });
  const bool somebody_is_idle =
      std::any_of(turn.after.status.workers.begin(), turn.after.status.workers.end(),
                  [](const WorkerStatus& worker) { return worker.leased == 0 && worker.credit_max > 0; });
  if (world_.phase != Phase::kCalm || !somebody_waits || !somebody_is_idle) idle_since_ = world_.now;
  if (world_.now - idle_since_ > kRecallPatience) {
    world_.wrong("a worker is idle beside one with jobs that it did not begin");
  }
}

}  // namespace tandem::broker::sim
