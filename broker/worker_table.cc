#include "broker/worker_table.h"

#include <algorithm>
#include <utility>

#include "shared/base/hash.h"

namespace tandem::broker {
namespace {

// Above this many workers on a host, a few chosen at random are compared instead of all: the best of several
// choices is nearly as good (Mitzenmacher 2001), at a cost that does not grow.
constexpr size_t kCompareAllMax = 16;
constexpr int kChoices = 8;

// a's free share is larger than b's, without dividing.
bool is_freer(const Worker& a, const Worker& b) {
  const int64_t free_a = int64_t{a.credit_max} - static_cast<int64_t>(a.leases.size());
  const int64_t free_b = int64_t{b.credit_max} - static_cast<int64_t>(b.leases.size());
  return free_a * b.credit_max > free_b * a.credit_max;
}

uint64_t score(uint64_t route, uint64_t host_hash) {
  uint64_t x = route ^ host_hash;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  return x ^ x >> 32;
}

}  // namespace

Worker& WorkerTable::hello(const Hello& message, const std::string& peer, TimePoint now) {
  uint32_t number = 0;
  if (const auto known = by_name_.find(message.worker); known != by_name_.end()) {
    number = known->second;
  } else if (!free_.empty()) {
    number = free_.back();
    free_.pop_back();
  } else {
    number = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  Worker& worker = slots_[number];
  if (!worker.peer.empty()) by_peer_.erase(worker.peer);
  worker.number = number;
  if (worker.name.empty() || worker.host != message.host) {
    if (!worker.name.empty()) leave(worker);
    join(worker, message.host);
  }
  by_name_[message.worker] = number;
  by_peer_[peer] = number;
  worker.name = message.worker;
  worker.peer = peer;
  worker.host = message.host;
  worker.model = message.model;
  worker.tasks = message.tasks;
  worker.credit_max = message.credit_max;
  worker.interactive_extra = message.interactive_extra;
  worker.cost_max = message.cost_max;
  worker.heard_at = now;
  update(worker);
  return worker;
}

namespace {

// Numbers in a list, each of which knows its place there.
template <typename PlaceOf>
void set_member(std::vector<uint32_t>& list, uint32_t number, bool is_member, PlaceOf&& place_of) {
  size_t& place = place_of(number);
  if (is_member == (place != SIZE_MAX)) return;
  if (is_member) {
    place = list.size();
    list.push_back(number);
    return;
  }
  list[place] = list.back();
  place_of(list[place]) = place;
  list.pop_back();
  place = SIZE_MAX;
}

}  // namespace

void WorkerTable::update(Worker& worker) {
  Host& host = hosts_[worker.host_number];
  set_member(host.open, worker.number, worker.has_room(Urgency::kInteractive, 0),
             [this](uint32_t number) -> size_t& { return slots_[number].open_place; });
  set_member(open_hosts_, worker.host_number, !host.open.empty(),
             [this](uint32_t number) -> size_t& { return hosts_[number].open_place; });
}

void WorkerTable::join(Worker& worker, const std::string& name) {
  const auto [found, is_new] = host_numbers_.try_emplace(name, static_cast<uint32_t>(hosts_.size()));
  if (is_new && free_hosts_.empty()) {
    hosts_.emplace_back();
  } else if (is_new) {
    found->second = free_hosts_.back();
    free_hosts_.pop_back();
  }
  Host& host = hosts_[found->second];
  if (is_new) {
    host.name = name;
    host.hash = hash128(name).low64();
  }
  ++host.n_workers;
  host.cost_leased += worker.cost_leased;
  worker.host_number = found->second;
}

void WorkerTable::leave(Worker& worker) {
  const uint32_t credit = std::exchange(worker.credit_max, 0);
  update(worker);  // not open any more
  worker.credit_max = credit;
  Host& host = hosts_[worker.host_number];
  host.cost_leased -= worker.cost_leased;
  if (--host.n_workers > 0) return;
  host_numbers_.erase(host.name);
  host = Host{};
  free_hosts_.push_back(worker.host_number);
}

void WorkerTable::forget(const std::string& name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return;
  const uint32_t number = found->second;
  Worker& worker = slots_[number];
  by_peer_.erase(worker.peer);
  leave(worker);
  by_name_.erase(found);
  worker = Worker{};
  free_.push_back(number);
}

Worker* WorkerTable::by_name(const std::string& name) {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &slots_[found->second];
}

Worker* WorkerTable::by_peer(const std::string& peer) {
  const auto found = by_peer_.find(peer);
  return found == by_peer_.end() ? nullptr : &slots_[found->second];
}

void WorkerTable::count_lease(Worker& worker, uint64_t cost) {
  worker.cost_leased += cost;
  hosts_[worker.host_number].cost_leased += cost;
  cost_leased_ += cost;
  update(worker);
}

void WorkerTable::count_end(Worker& worker, uint64_t cost) {
  worker.cost_leased -= cost;
  hosts_[worker.host_number].cost_leased -= cost;
  cost_leased_ -= cost;
  update(worker);
}

Worker* WorkerTable::pick(uint64_t route, uint64_t cost, Urgency urgency, TimePoint heard_after) {
  if (gave_back_at_ > heard_after) {
    passes_over_givers_ = true;
    Worker* worker = pick_host(route, cost, urgency, heard_after);
    passes_over_givers_ = false;
    if (worker != nullptr) return worker;
  }
  return pick_host(route, cost, urgency, heard_after);
}

Worker* WorkerTable::pick_host(uint64_t route, uint64_t cost, Urgency urgency, TimePoint heard_after) {
  if (open_hosts_.empty()) return nullptr;
  if (open_hosts_.size() == 1) return pick_at(hosts_[open_hosts_.front()], cost, urgency, heard_after);

  // The best host below the bound, nearly always; failing that, the next that has room, below the bound if
  // there is one.
  const size_t n_hosts = host_numbers_.size();
  const uint64_t bound = cost_leased_ + cost + (cost_leased_ + cost) / 4;
  const auto is_bounded = [&](const Host& host) { return host.cost_leased * n_hosts < bound; };
  Host* best = nullptr;
  uint64_t best_score = 0;
  for (const uint32_t number : open_hosts_) {
    Host& host = hosts_[number];
    const uint64_t host_score = score(route, host.hash);
    if (best != nullptr && host_score <= best_score) continue;
    if (!is_bounded(host)) continue;
    best = &host;
    best_score = host_score;
  }
  if (best != nullptr) {
    if (Worker* worker = pick_at(*best, cost, urgency, heard_after)) return worker;
  }

  ranking_.clear();
  for (const uint32_t number : open_hosts_) ranking_.emplace_back(score(route, hosts_[number].hash), number);
  std::make_heap(ranking_.begin(), ranking_.end());
  Worker* beyond = nullptr;
  while (!ranking_.empty()) {
    std::pop_heap(ranking_.begin(), ranking_.end());
    Host& host = hosts_[ranking_.back().second];
    ranking_.pop_back();
    if (beyond != nullptr && !is_bounded(host)) continue;
    Worker* worker = pick_at(host, cost, urgency, heard_after);
    if (worker == nullptr) continue;
    if (is_bounded(host)) return worker;
    beyond = worker;
  }
  return beyond;
}

uint64_t WorkerTable::next_random() {
  random_ ^= random_ << 13;  // xorshift64 (Marsaglia 2003)
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_;
}

Worker* WorkerTable::pick_at(Host& host, uint64_t cost, Urgency urgency, TimePoint heard_after) {
  Worker* best = nullptr;
  const auto consider = [&](Worker& worker) {
    if (!worker.has_room(urgency, cost) || worker.heard_at <= heard_after) return;
    if (passes_over_givers_ && worker.gave_back_at > heard_after) return;
    if (best == nullptr || is_freer(worker, *best)) best = &worker;
  };
  if (host.open.size() > kCompareAllMax) {
    for (int i = 0; i < kChoices; ++i) consider(slots_[host.open[next_random() % host.open.size()]]);
    if (best != nullptr) return best;
  }
  for (const uint32_t number : host.open) consider(slots_[number]);
  return best;
}

std::vector<std::string> WorkerTable::silent_for(Duration time, TimePoint now) {
  std::vector<std::string> names;
  if (now < silence_at_) return names;
  silence_at_ = now + time;
  for (const auto& [name, number] : by_name_) {
    const TimePoint silent_at = slots_[number].heard_at + time;
    if (!slots_[number].leases.empty()) {
      silence_at_ = std::min(silence_at_, std::max(silent_at, now + time / 16));
    } else if (silent_at <= now) {
      names.push_back(name);
    } else {
      silence_at_ = std::min(silence_at_, silent_at);
    }
  }
  return names;
}

}  // namespace tandem::broker
