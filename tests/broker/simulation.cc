#include "tests/broker/simulation.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace tandem::broker {
namespace {

using namespace std::chrono_literals;

constexpr Duration kStep = 100ms;
constexpr Duration kCalmMax = 30min;  // after the storm, everything must have ended

}  // namespace

Simulation::Simulation(const SimulationConfig& config)
    : config_(config), random_(config.seed), storm_ends_(now_ + config.storm) {
  for (int i = 0; i < config.n_workers; ++i) {
    SimWorker worker;
    worker.name = "worker" + std::to_string(i);
    worker.credit = static_cast<uint32_t>(random_() % 4);
    workers_.push_back(std::move(worker));
  }
  workers_.front().credit = 3;  // not all may have none
  for (int i = 0; i < config.n_jobs; ++i) {
    SimJob job;
    job.client = "client" + std::to_string(random_() % static_cast<uint64_t>(config.n_clients));
    // Some jobs are equal.
    job.text = "text " + std::to_string(random_() % static_cast<uint64_t>(config.n_jobs));
    job.next_act = now_ + random_duration(0, static_cast<int>(config.storm / 1ms));
    jobs_.emplace(job_id_from_key("job " + std::to_string(i)), std::move(job));
  }
  start_broker();
}

bool Simulation::chance(double probability) {
  return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
}

Duration Simulation::random_duration(int from_ms, int to_ms) {
  return milliseconds(std::uniform_int_distribution<int>(from_ms, to_ms)(random_));
}

void Simulation::wrong(const std::string& what) {
  wrongs_.insert(what);
}

void Simulation::post(std::vector<Sent>& queue, Event event) {
  if (is_storm() && chance(config_.loss)) return;
  const int late_ms = is_storm() ? 2'000 : 50;
  if (is_storm() && chance(config_.repeat)) queue.push_back({now_ + random_duration(0, late_ms), event});
  queue.push_back({now_ + random_duration(0, late_ms), std::move(event)});
}

std::vector<Event> Simulation::arrivals(std::vector<Sent>& queue) {
  std::stable_sort(queue.begin(), queue.end(), [](const Sent& a, const Sent& b) { return b > a; });
  std::vector<Event> events;
  auto sent = queue.begin();
  for (; sent != queue.end() && sent->arrives <= now_; ++sent) events.push_back(std::move(sent->event));
  queue.erase(queue.begin(), sent);
  return events;
}

void Simulation::start_broker() {
  dispatcher_ = std::make_unique<Dispatcher>(dispatcher_config_);
  const auto replayed =
      journal_.replay({[&](const AcceptedFact& fact, size_t n) { return dispatcher_->replay(fact, n); },
                       [&](const FinishedFact& fact) { return dispatcher_->replay(fact); },
                       [&](Sequence finished) { dispatcher_->replay_acknowledged(finished); }});
  if (!replayed) wrong("replay: " + replayed.error().text);
  dispatcher_->start(now_, wall_ms());
  held_.clear();
  to_broker_.clear();
}

std::vector<std::string> Simulation::run() {
  while (now_ < storm_ends_ + kCalmMax && !is_over()) step();
  for (const auto& [id, job] : jobs_) {
    if (!job.outcome) wrong("job " + id.to_string() + " never came to an end");
  }
  check_journal();
  return {wrongs_.begin(), wrongs_.end()};
}

bool Simulation::is_over() const {
  return !is_storm() && std::all_of(jobs_.begin(), jobs_.end(),
                                    [](const auto& entry) { return entry.second.outcome.has_value(); });
}

void Simulation::step() {
  now_ += kStep;
  step_clients();
  step_workers();
  step_broker();
  for (Event& event : arrivals(to_peers_)) {
    if (event.from.door == Door::kSubmit) {
      deliver_to_client(event.message);
      continue;
    }
    for (SimWorker& worker : workers_) {
      if (worker.is_up && worker.peer == event.from.peer) deliver_to_worker(worker, event.message);
    }
  }
}

// ---- the broker: killed with what it heard, with what it decided, or with what it wrote down ----

void Simulation::step_broker() {
  std::vector<Event> events = arrivals(to_broker_);
  const bool dies = is_storm() && chance(config_.broker_death);
  const uint64_t moment = random_() % 3;
  if (dies && moment == 0) return start_broker();
  gave_up_.clear();
  note_renewals(events);
  Plan plan = dispatcher_->turn({now_, wall_ms()}, std::move(events));
  check_credits(plan);
  if (dies && moment == 1) return start_broker();
  (void)journal_.commit(plan.facts);
  if (dies) return start_broker();

  for (Speech& speech : plan.speeches) {
    for (size_t i = 0; i < speech.bodies.size(); ++i) {
      if (speech.bodies[i] == 0) continue;
      const auto body = journal_.read(speech.bodies[i]);
      if (!body) {
        wrong("a payload is not in the journal");
      } else if (auto* fetched = std::get_if<Fetched>(&speech.message)) {
        fetched->items[i].payload = body->payload;
        fetched->items[i].error = body->error;
      }
    }
    post(to_peers_, {speech.to, std::move(speech.message)});
  }
  for (const auto& [client, worker, places] : plan.outcomes) {
    for (const size_t place : places) {
      const FinishedFact& fact = plan.facts.finished[place];
      ResultMessage message{worker, {{fact.id, fact.attempt, fact.error, false, fact.payload}}};
      post(to_peers_, {{Door::kSubmit, peer_of_client(client)}, std::move(message)});
    }
  }
  check_leases();
}

// When did each worker last speak of each of its jobs, and who gave something back of its own will?
void Simulation::note_renewals(const std::vector<Event>& events) {
  std::map<std::string, std::string> worker_at;  // by connection
  for (const auto& [name, number] : dispatcher_->workers().all()) {
    worker_at[dispatcher_->workers()[number].peer] = name;
  }
  const auto renew = [&](const std::string& name, const std::vector<HeldLease>& named) {
    for (const HeldLease& lease : named) {
      const auto held = held_.find(lease.id);
      if (held != held_.end() && held->second.worker == name) held->second.renewed = now_;
    }
  };
  for (const Event& event : events) {
    const std::string name = event.from.door == Door::kWork ? worker_at[event.from.peer] : "";
    if (const auto* hello = std::get_if<Hello>(&event.message)) {
      std::erase_if(worker_at, [&](const auto& entry) { return entry.second == hello->worker; });
      worker_at[event.from.peer] = hello->worker;
      gave_up_.insert(hello->worker);  // it may have come back without some
      renew(hello->worker, hello->held);
    } else if (const auto* heartbeat = std::get_if<Heartbeat>(&event.message)) {
      renew(name, heartbeat->held);
    } else if (std::holds_alternative<Goodbye>(event.message)) {
      gave_up_.insert(name);
      worker_at.erase(event.from.peer);
    } else if (const auto* result = std::get_if<ResultMessage>(&event.message)) {
      if (result->items[0].retry) gave_up_.insert(result->worker);
    }
  }
}

// Whoever was lent something had room for it.
void Simulation::check_credits(const Plan& plan) {
  for (const Speech& speech : plan.speeches) {
    if (!std::holds_alternative<Job>(speech.message)) continue;
    for (const auto& [name, number] : dispatcher_->workers().all()) {
      const Worker& worker = dispatcher_->workers()[number];
      if (worker.peer == speech.to.peer &&
          worker.leases.size() > worker.credit_max + worker.interactive_extra)
        wrong(name + " was lent beyond its credit");
    }
  }
}

// What the broker itself says of its leases, against what was seen from outside.
void Simulation::check_leases() {
  Plan plan = dispatcher_->turn({now_, wall_ms()}, [] {
    std::vector<Event> events;
    events.push_back({{Door::kSubmit, "observer"}, Status{1}});
    events.push_back({{Door::kSubmit, "observer"}, List{2, false, "", 0, 4'096}});
    return events;
  }());
  if (!plan.facts.empty()) wrong("a turn at the same time decided something new");
  const auto& status = std::get<StatusReply>(plan.speeches.at(0).message);
  const auto& listed = std::get<Listed>(plan.speeches.at(1).message);

  std::map<std::string, uint32_t> n_leased;
  std::map<JobId, Held> now_held;
  for (const JobStatus& job : listed.jobs) {
    if (job.state != JobState::kLeased) continue;
    ++n_leased[job.worker];
    const auto before = held_.find(job.id);
    if (before == held_.end()) {
      now_held[job.id] = {job.worker, job.attempt, now_};
      continue;
    }
    const Held& held = before->second;
    if (held.worker == job.worker) {
      now_held[job.id] = {job.worker, job.attempt, held.attempt == job.attempt ? held.renewed : now_};
      continue;
    }
    const bool ran_out = now_ - held.renewed >= dispatcher_config_.lease;
    if (!ran_out && !gave_up_.contains(held.worker)) {
      wrong("job " + job.id.to_string() + " went to " + job.worker + " under a valid lease of " +
            held.worker);
    }
    now_held[job.id] = {job.worker, job.attempt, now_};
  }
  held_ = std::move(now_held);
  for (const WorkerStatus& worker : status.workers) {
    if (worker.leased != n_leased[worker.name]) wrong("the count of leases of " + worker.name + " is off");
  }
  for (const Speech& speech : plan.speeches) {
    if (std::holds_alternative<Job>(speech.message)) wrong("a job was lent twice in one moment");
  }
}

// Every accepted job is there once and ended once.
void Simulation::check_journal() {
  std::map<JobId, int> n_accepted, n_finished;
  for (const auto& [sequence, fact] : journal_.facts()) {
    if (const auto* accepted = std::get_if<AcceptedFact>(&fact)) ++n_accepted[accepted->id];
    if (const auto* finished = std::get_if<FinishedFact>(&fact)) ++n_finished[finished->id];
  }
  for (const auto& [id, job] : jobs_) {
    if (n_accepted[id] != 1)
      wrong("job " + id.to_string() + " accepted " + std::to_string(n_accepted[id]) + " times");
    if (n_finished[id] != 1)
      wrong("job " + id.to_string() + " finished " + std::to_string(n_finished[id]) + " times");
  }
}

}  // namespace tandem::broker
