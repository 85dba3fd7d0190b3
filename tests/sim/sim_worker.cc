#include "tests/sim/sim_worker.h"

#include <utility>
#include <variant>

namespace tandem::broker::sim {

SimWorker::SimWorker(World& world, Network& network, const std::string& name, const std::string& host)
    : world_(world), network_(network), name_(name), host_(host) {
  draw_limits();
}

void SimWorker::draw_limits() {
  credit_ = static_cast<uint32_t>(world_.between(world_.is_storm() ? 0 : 1, 6).count());
  extra_ = static_cast<uint32_t>(world_.below(3));
  cost_max_ = world_.chance(0.5) ? 0 : 100 + world_.below(600);
  n_slots_ = 1 + world_.below(3);
  if (!world_.is_storm() && world_.config.is_calm_crowded) credit_ = 1;
}

// A new process: it knows its name and nothing else.
void SimWorker::wake_up() {
  is_up_ = true;
  is_stopped_ = false;
  unread_.clear();
  held_.clear();
  peer_ = name_ + "'s connection " + std::to_string(++n_connections_);
  draw_limits();
  say_hello();
}

void SimWorker::say_hello() {
  next_heartbeat_ = world_.now + world_.config.dispatcher.heartbeat;
  say(Hello{name_, host_, "model", credit_, {"sentiment"}, leases(), cost_max_, extra_});
}

void SimWorker::die(bool says_goodbye) {
  if (says_goodbye) say(Goodbye{});
  is_up_ = false;
  away_until_ = world_.now + world_.between(100, world_.is_storm() ? 15'000 : 500);
}

void SimWorker::recover() {
  if (!is_up_) return wake_up();
  if (is_stopped_) go_on();
  draw_limits();
  say_hello();
}

void SimWorker::go_on() {
  is_stopped_ = false;
  for (const Message& message : std::exchange(unread_, {})) read(message);
}

std::vector<HeldLease> SimWorker::leases() const {
  std::vector<HeldLease> leases;
  for (const auto& [id, held] : held_) leases.push_back({id, held.attempt});
  return leases;
}

size_t SimWorker::n_waiting() const {
  size_t n = 0;
  for (const auto& [id, held] : held_) n += !held.is_begun;
  return n;
}

void SimWorker::step() {
  if (!is_up_) {
    if (world_.now >= away_until_) wake_up();
    return;
  }
  if (is_stopped_) {
    if (world_.now < away_until_) return;
    go_on();
  }
  if (world_.accident(world_.config.worker_death)) return die(world_.chance(0.3));
  if (world_.accident(world_.config.worker_pause)) {
    is_stopped_ = true;
    away_until_ = world_.now + world_.between(1'000, 20'000);
    return;
  }
  if (world_.accident(0.005)) {  // another connection, as after a network that was gone
    peer_ = name_ + "'s connection " + std::to_string(++n_connections_);
    say_hello();
  }
  if (world_.accident(0.005)) {
    draw_limits();
    say(Ready{credit_, cost_max_, extra_});
  }
  begin_jobs();
  finish_jobs();
  if (!is_up_ || world_.now < next_heartbeat_) return;
  next_heartbeat_ = world_.now + world_.config.dispatcher.heartbeat;
  say(Heartbeat{leases()});
}

void SimWorker::begin_jobs() {
  size_t n_begun = held_.size() - n_waiting();
  while (n_begun < n_slots_ && n_begun < held_.size()) {
    Held* next = nullptr;
    for (auto& [id, held] : held_) {
      if (held.is_begun) continue;
      const auto rank = [](const Held& one) { return std::pair(one.urgency == Urgency::kBulk, one.arrival); };
      if (next == nullptr || rank(held) < rank(*next)) next = &held;
    }
    next->is_begun = true;
    // Some take longer than a lease.
    next->ends = world_.now + (world_.is_storm() && world_.chance(0.2) ? world_.between(5'000, 25'000)
                                                                       : world_.between(50, 2'000));
    ++n_begun;
    if (next->text.starts_with("poison")) return die(false);
  }
}

void SimWorker::finish_jobs() {
  ResultMessage results{name_, {}};
  Partial parts{name_, {}};
  for (auto at = held_.begin(); at != held_.end();) {
    const auto& [id, held] = *at;
    const bool is_over = held.expires <= world_.now;
    if (!is_over && (!held.is_begun || held.ends > world_.now)) {
      if (held.is_begun && world_.chance(0.2))
        parts.items.push_back({id, held.attempt, "part of " + held.text});
      ++at;
      continue;
    }
    ResultItem item{id, held.attempt, {}, false, ""};
    if (is_over) {
      item.error = {ErrorCode::kExpired, "its time is over at " + name_};
    } else if (world_.accident(0.15)) {
      item.retry = world_.chance(0.8);
      item.error = {ErrorCode::kInternal,
                    item.retry ? "out of memory at " + name_ : "no way to do " + held.text};
    } else {
      item.payload = "answer to " + held.text + " by " + name_ + ", attempt " + std::to_string(held.attempt);
    }
    results.items.push_back(std::move(item));
    at = held_.erase(at);
  }
  if (!parts.items.empty()) network_.to_broker(Door::kResults, "", parts);
  if (!results.items.empty()) network_.to_broker(Door::kResults, "", results);
  // Once more, and perhaps before the results: nobody asked.
  if (world_.accident(0.002)) say(Returned{give_back({})});
}

// Of these, or of all if there are none, what was not begun.
std::vector<HeldLease> SimWorker::give_back(const std::vector<JobId>& ids) {
  std::vector<HeldLease> returned;
  std::vector<JobId> asked = ids;
  if (asked.empty()) {
    for (const auto& [id, held] : held_) asked.push_back(id);
  }
  for (const JobId& id : asked) {
    const auto found = held_.find(id);
    if (found == held_.end() || found->second.is_begun) continue;
    returned.push_back({id, found->second.attempt});
    held_.erase(found);
  }
  return returned;
}

void SimWorker::hear(const std::string& peer, Message message) {
  if (!is_up_ || peer != peer_) return;
  if (is_stopped_) return unread_.push_back(std::move(message));
  read(message);
}

void SimWorker::read(const Message& message) {
  if (const auto* job = std::get_if<Job>(&message)) {
    for (const JobItem& item : job->items) {
      const auto [found, is_new] = held_.try_emplace(item.id);
      found->second.attempt = std::max(found->second.attempt, item.attempt);
      found->second.expires = item.ttl_ms == 0 ? TimePoint::max() : world_.now + milliseconds(item.ttl_ms);
      if (!is_new) continue;
      found->second.text = item.payload.to_string();
      found->second.urgency = item.urgency;
      found->second.arrival = ++n_arrivals_;
    }
  } else if (const auto* cancel = std::get_if<Cancel>(&message)) {
    for (const JobId& id : cancel->ids) held_.erase(id);
  } else if (const auto* recall = std::get_if<Recall>(&message)) {
    std::vector<HeldLease> returned = give_back(recall->ids);
    if (!returned.empty()) say(Returned{std::move(returned)});
  } else if (std::holds_alternative<WhoAreYou>(message)) {
    say_hello();
  } else if (const auto* refused = std::get_if<Refused>(&message)) {
    world_.wrong(name_ + " was refused: " + refused->error.text);
  }
}

}  // namespace tandem::broker::sim
