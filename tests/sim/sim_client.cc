#include "tests/sim/sim_client.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "tests/sim/sim_broker.h"

namespace tandem::broker::sim {
namespace {

enum Request : uint64_t { kSubmitting = 1, kCancelling, kFetching, kCollecting };

}  // namespace

SimClient::SimClient(World& world, Network& network, const Model& model, const std::string& name)
    : world_(world), network_(network), model_(model), name_(name) {
  const size_t windows[] = {1, 2, 3, 1'000};
  window_max_ = windows[world_.below(4)];
}

SubmitItem SimClient::draw_item(size_t number) {
  const SimulationConfig& config = world_.config;
  SubmitItem item;
  item.id = job_id_from_key(name_ + " " + std::to_string(number));
  std::string text = name_ + "'s " + std::to_string(number);
  if (world_.chance(world_.is_storm() ? config.equal_jobs : config.equal_calm_jobs)) {
    text = "what many ask " + std::to_string(world_.below(8));
  }
  if (world_.is_storm() && world_.chance(config.poison)) text = "poison " + std::to_string(world_.below(20));
  item.payload = text;
  item.route = world_.below(8);
  item.cost = static_cast<uint32_t>(world_.chance(0.1) ? world_.below(2) : world_.below(300));
  if (world_.chance(0.3)) item.attempts_max = static_cast<uint32_t>(1 + world_.below(4));
  const double others = !world_.is_storm() && config.is_calm_crowded ? 0.03 : 0.3;
  if (world_.chance(others)) item.urgency = Urgency::kInteractive;
  if (world_.chance(others)) item.priority = static_cast<uint8_t>(world_.below(kPriorityMax + 1));
  if (world_.chance(0.15)) item.delay_ms = world_.below(10'000);
  if (world_.chance(0.2)) item.ttl_ms = item.delay_ms + 1'000 + world_.below(40'000);
  return item;
}

void SimClient::add_job() {
  Job job;
  job.item = draw_item(order_.size());
  job.next_act = world_.now;
  if (world_.is_storm()) job.next_act += world_.between(0, world_.config.storm / milliseconds(1));
  order_.push_back(job.item.id);
  jobs_.emplace(job.item.id, std::move(job));
}

void SimClient::say(const Message& message) {
  network_.to_broker(Door::kSubmit, peer_of_client(name_), message);
}

SimClient::Job* SimClient::find(const JobId& id) {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

bool SimClient::is_content() const {
  return std::all_of(jobs_.begin(), jobs_.end(), [](const auto& entry) { return entry.second.is_over; });
}

std::vector<std::string> SimClient::unfinished() const {
  std::vector<std::string> ids;
  for (const auto& [id, job] : jobs_) {
    if (!job.is_over) ids.push_back(id.to_string() + (job.is_accepted ? " (accepted)" : " (not accepted)"));
  }
  return ids;
}

// A new process: what it has to bring is known, what became of it is not.
void SimClient::lose_memory() {
  for (auto& [id, job] : jobs_) {
    if (job.is_submitted && world_.chance(0.5)) job.is_accepted = job.is_over = false;
  }
}

void SimClient::step() {
  if (world_.accident(0.002)) lose_memory();
  Submit submit{kSubmitting, name_, {}};
  Fetch fetch{kFetching, {}};
  size_t n_waited_for = 0;
  for (const auto& [id, job] : jobs_) n_waited_for += job.is_submitted && !job.is_over;
  for (const JobId& id : order_) {
    Job& job = jobs_.at(id);
    if (job.is_over || world_.now < job.next_act) continue;
    if (!job.is_submitted && !world_.is_storm() && n_waited_for >= window_max_) break;
    job.next_act =
        world_.now + (world_.is_storm() ? world_.between(500, 3'000) : world_.between(3'000, 6'000));
    if (!job.is_accepted) {
      n_waited_for += !std::exchange(job.is_submitted, true);
      submit.items.push_back(job.item);
    } else if (world_.accident(0.01)) {
      say(Cancel{kCancelling, {id}});
    } else {
      fetch.ids.push_back(id);
    }
  }
  if (!submit.items.empty()) say(submit);
  if (!fetch.ids.empty()) say(fetch);
  if (world_.chance(0.01)) say(Collect{kCollecting, name_, static_cast<uint32_t>(1 + world_.below(5))});
}

void SimClient::hear(const Message& message) {
  if (const auto* accepted = std::get_if<Accepted>(&message)) {
    for (const AcceptedItem& item : accepted->items) {
      Job* job = find(item.id);
      if (job == nullptr) {
        world_.wrong(name_ + " was told of a job that it does not have");
      } else if (item.error.text.empty()) {
        if (!model_.was_ever_accepted(item.id))
          world_.wrong("accepted was said of a job that is not on disk");
        job->is_accepted = true;
      } else if (item.error.code == ErrorCode::kFull) {
        if (item.retry_after_ms == 0) world_.wrong(name_ + " is not told when there will be room");
        job->next_act = world_.now + milliseconds(item.retry_after_ms);
      } else if (accepted->request != kCancelling || item.error.code != ErrorCode::kNotFound) {
        world_.wrong(name_ + " was refused: " + item.error.text);
      }
    }
  } else if (const auto* fetched = std::get_if<Fetched>(&message)) {
    Acknowledge arrived{name_, {}};
    for (const FetchedItem& item : fetched->items) {
      if (is_finished(item.state)) {
        heard_outcome(item.id, item.error, item.payload);
        if (world_.chance(0.7)) arrived.ids.push_back(item.id);
      } else if (item.state == JobState::kUnknown) {
        if (!model_.was_ever_forgotten(item.id)) world_.wrong("an accepted job is unknown");
        if (Job* job = find(item.id)) job->is_over = true;
      }
    }
    if (!arrived.ids.empty() && fetched->request == kCollecting) say(arrived);
  } else if (const auto* result = std::get_if<ResultMessage>(&message)) {
    for (const ResultItem& item : result->items) heard_outcome(item.id, item.error, item.payload);
  } else if (const auto* partial = std::get_if<Partial>(&message)) {
    for (const PartialItem& item : partial->items) {
      const Job* job = find(item.id);
      if (job == nullptr || item.payload.view() != "part of " + job->item.payload.to_string()) {
        world_.wrong(name_ + " was sent a part of something else");
      }
    }
  } else if (const auto* refused = std::get_if<Refused>(&message)) {
    world_.wrong(name_ + "'s message was refused: " + refused->error.text);
  }
}

void SimClient::heard_outcome(const JobId& id, const Error& error, const Bytes& payload) {
  Job* job = find(id);
  if (job == nullptr) return world_.wrong(name_ + " heard the outcome of a job that it does not have");
  if (!model_.ever_came_to(id, error, payload)) {
    world_.wrong("job " + id.to_string() + " was heard to be '" + error.text + payload.to_string() +
                 "', to which it never came");
  }
  job->is_accepted = job->is_over = true;
}

}  // namespace tandem::broker::sim
