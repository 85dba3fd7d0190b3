// The simulation's workers and clients.

#include <utility>
#include <variant>

#include "tests/broker/simulation.h"

namespace tandem::broker {

// ---- workers: die, come back under their name, finish, fail, leave ----

void Simulation::wake_worker(SimWorker& worker) {
  worker.is_up = true;
  worker.jobs.clear();
  worker.peer = "connection " + std::to_string(++n_connections_);
  worker.next_heartbeat = now_ + dispatcher_config_.heartbeat;
  post(to_broker_,
       {{Door::kWork, worker.peer}, Hello{worker.name, "host", "model", worker.credit, {}, {}, 0, 0}});
}

void Simulation::step_workers() {
  for (SimWorker& worker : workers_) {
    if (!worker.is_up) {
      if (now_ >= worker.asleep_until) wake_worker(worker);
      continue;
    }
    if (is_storm() && chance(config_.worker_death)) {
      if (chance(0.3)) post(to_broker_, {{Door::kWork, worker.peer}, Goodbye{}});
      worker.is_up = false;
      worker.asleep_until = now_ + random_duration(100, 20'000);
      continue;
    }
    finish_jobs(worker);
    if (now_ < worker.next_heartbeat) continue;
    worker.next_heartbeat = now_ + dispatcher_config_.heartbeat;
    Heartbeat heartbeat;
    for (const auto& [id, working] : worker.jobs) heartbeat.held.push_back({id, working.attempt});
    post(to_broker_, {{Door::kWork, worker.peer}, std::move(heartbeat)});
  }
}

void Simulation::finish_jobs(SimWorker& worker) {
  for (auto job = worker.jobs.begin(); job != worker.jobs.end();) {
    if (job->second.ends > now_) {
      ++job;
      continue;
    }
    ResultItem item{job->first, job->second.attempt, {}, false, ""};
    if (chance(0.1)) {
      item.error = {ErrorCode::kInternal, "failed at " + worker.name};
      item.retry = chance(0.8);
    } else {
      item.payload = "by " + worker.name + ", attempt " + std::to_string(item.attempt);
    }
    post(to_broker_, {{Door::kResults, {}}, ResultMessage{worker.name, {item}}});
    job = worker.jobs.erase(job);
  }
}

void Simulation::deliver_to_worker(SimWorker& worker, const Message& message) {
  if (const auto* job = std::get_if<Job>(&message)) {
    for (const JobItem& item : job->items) {
      // Some take longer than a lease.
      worker.jobs.try_emplace(item.id, Working{item.attempt, now_ + random_duration(10, 25'000)});
    }
  } else if (const auto* cancel = std::get_if<Cancel>(&message)) {
    for (const JobId& id : cancel->ids) worker.jobs.erase(id);
  } else if (std::holds_alternative<WhoAreYou>(message)) {
    Hello hello{worker.name, "host", "model", worker.credit, {}, {}};
    for (const auto& [id, working] : worker.jobs) hello.held.push_back({id, working.attempt});
    post(to_broker_, {{Door::kWork, worker.peer}, std::move(hello)});
  }
}

// ---- clients: submit until accepted, fetch until finished, and sometimes change their mind ----

void Simulation::step_clients() {
  for (auto& [id, job] : jobs_) {
    if (job.outcome || now_ < job.next_act) continue;
    job.next_act = now_ + random_duration(500, 3'000);
    const Address from{Door::kSubmit, peer_of_client(job.client)};
    if (!job.is_accepted) {
      post(to_broker_,
           {from,
            Submit{1,
                   job.client,
                   {{.id = id, .cost = static_cast<uint32_t>(1 + random_() % 300), .payload = job.text}}}});
    } else if (chance(0.01)) {
      post(to_broker_, {from, Cancel{1, {id}}});
    } else {
      post(to_broker_, {from, Fetch{1, {id}}});
    }
  }
}

void Simulation::deliver_to_client(const Message& message) {
  if (const auto* accepted = std::get_if<Accepted>(&message)) {
    for (const AcceptedItem& item : accepted->items) {
      if (item.error.text.empty()) jobs_.at(item.id).is_accepted = true;
    }
  } else if (const auto* fetched = std::get_if<Fetched>(&message)) {
    for (const FetchedItem& item : fetched->items) {
      if (item.state == JobState::kUnknown)
        wrong("job " + item.id.to_string() + " was accepted and is unknown");
      if (item.state == JobState::kDone) hear_outcome(item.id, item.payload.to_string());
      if (is_finished(item.state) && item.state != JobState::kDone) hear_outcome(item.id, item.error.text);
    }
  } else if (const auto* result = std::get_if<ResultMessage>(&message)) {
    for (const ResultItem& item : result->items) {
      hear_outcome(item.id, item.error.text.empty() ? item.payload.to_string() : item.error.text);
    }
  }
}

void Simulation::hear_outcome(const JobId& id, const std::string& outcome) {
  SimJob& job = jobs_.at(id);
  if (!job.outcome) job.outcome = outcome;
  if (*job.outcome != outcome) {
    wrong("job " + id.to_string() + " came to '" + *job.outcome + "' and to '" + outcome + "'");
  }
}

}  // namespace tandem::broker
