#include "tests/sim/sim_broker.h"

#include <set>
#include <utility>
#include <variant>

#include "shared/base/limits.h"
#include "tests/sim/watch.h"

namespace tandem::broker::sim {

std::string peer_of_client(const std::string& client) {
  return "connection of " + client;
}

SimBroker::SimBroker(World& world, Network& network, Model& model)
    : world_(world), network_(network), model_(model) {
  start();
}

void SimBroker::start() {
  dispatcher_ = std::make_unique<Dispatcher>(world_.config.dispatcher);
  const auto replayed = journal_.replay(replay_into(*dispatcher_));
  if (!replayed) world_.wrong("replay: " + replayed.error().text);
  dispatcher_->start(world_.now, world_.wall_ms());
  network_.forget_what_waits_for_the_broker();
  unsaid_.clear();
  model_.broker_started();
  started_at_ = world_.now;
  ++n_starts_;
}

std::optional<SimBroker::Turn> SimBroker::turn() {
  Turn turn;
  turn.heard = network_.at_broker();
  const bool dies = world_.accident(world_.config.broker_death);
  const uint64_t moment = world_.below(3);
  if (dies && moment == 0) return start(), std::nullopt;
  turn.plan = dispatcher_->turn({world_.now, world_.wall_ms()}, turn.heard);
  if (dies && moment == 1) return start(), std::nullopt;

  for (const Event& event : turn.heard) {
    if (const auto* message = std::get_if<Acknowledge>(&event.message)) model_.heard_acknowledge(*message);
  }
  (void)journal_.commit(turn.plan.facts);
  model_.commit(turn.plan.facts, turn.heard);
  if (dies) return start(), std::nullopt;

  if (turn.plan.wake_at < world_.now) world_.wrong("the broker wants to wake up in the past");
  turn.after = observe();
  // The disk may be busy for some turns; then what they decided is said later.
  unsaid_.push_back(turn.plan);
  if (!world_.accident(world_.config.broker_lag)) {
    for (Plan& plan : std::exchange(unsaid_, {})) speak(plan);
  }
  return turn;
}

void SimBroker::speak(Plan& plan) {
  for (Speech& speech : plan.speeches) {
    if (fill(speech)) network_.to_peer(speech.to, speech.message);
  }
  for (const auto& [client, partial] : plan.partials) {
    network_.to_peer({Door::kSubmit, peer_of_client(client)}, partial);
  }
  for (const auto& [client, worker, places] : plan.outcomes) {
    ResultMessage message{worker, {}};
    for (const size_t place : places) {
      const FinishedFact& fact = plan.facts.finished[place];
      message.items.push_back({fact.id, fact.attempt, fact.error, false, fact.payload});
    }
    network_.to_peer({Door::kSubmit, peer_of_client(client)}, message);
  }
}

// As speaker.cc does it. False: nothing is left to say.
bool SimBroker::fill(Speech& speech) {
  auto* job = std::get_if<Job>(&speech.message);
  auto* fetched = std::get_if<Fetched>(&speech.message);
  if (fetched != nullptr) {
    std::vector<FetchedItem> found;
    for (size_t i = 0; i < fetched->items.size(); ++i) {
      FetchedItem& item = fetched->items[i];
      if (speech.bodies[i] != 0) {
        const auto body = journal_.read(speech.bodies[i]);
        if (!body) continue;  // it went in this very turn: to be asked for again
        item.payload = body->payload;
        item.error = body->error;
      }
      found.push_back(std::move(item));
    }
    fetched->items = std::move(found);
  }
  if (job == nullptr) return true;
  std::vector<JobItem> found;
  for (size_t i = 0; i < job->items.size(); ++i) {
    JobItem& item = job->items[i];
    const auto body = journal_.read(speech.bodies[i]);
    if (!body) {
      if (dispatcher_->is_unfinished(item.id, speech.bodies[i]))
        world_.wrong("a job was lent whose payload is not in the journal");
      continue;
    }
    item.payload = body->payload;
    if (const ModelJob* known = model_.find(item.id);
        known != nullptr && item.payload.view() != known->text()) {
      world_.wrong(describe(model_, item.id) + " went out with another text");
    }
    found.push_back(std::move(item));
  }
  job->items = std::move(found);
  return !job->items.empty();
}

Observation SimBroker::observe() {
  std::set<std::string> clients;
  for (const auto& [id, job] : model_.jobs()) clients.insert(job.accepted.client);
  std::vector<Event> questions;
  const Address observer{Door::kSubmit, "observer"};
  const auto jobs_max = static_cast<uint32_t>(limits::kItemsPerMessageMax);
  questions.push_back({observer, Status{1}});
  questions.push_back({observer, List{2, false, "", 0, jobs_max}});
  questions.push_back({observer, List{3, true, "", 0, jobs_max}});
  for (const std::string& client : clients) questions.push_back({observer, Collect{4, client, jobs_max}});

  Plan plan = dispatcher_->turn({world_.now, world_.wall_ms()}, std::move(questions));
  if (!plan.facts.empty()) world_.wrong("a turn at the same time decided something new");
  Observation observed;
  auto client = clients.begin();
  bool is_dead = false;
  for (Speech& speech : plan.speeches) {
    if (auto* status = std::get_if<StatusReply>(&speech.message)) {
      observed.status = std::move(*status);
    } else if (auto* listed = std::get_if<Listed>(&speech.message)) {
      (std::exchange(is_dead, true) ? observed.dead : observed.jobs) = std::move(listed->jobs);
    } else if (const auto* fetched = std::get_if<Fetched>(&speech.message)) {
      std::vector<JobId>& ids = observed.uncollected[*client++];
      for (const FetchedItem& item : fetched->items) ids.push_back(item.id);
    } else {
      world_.wrong("a turn at the same time says something new");
    }
  }
  return observed;
}

}  // namespace tandem::broker::sim
