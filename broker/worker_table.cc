#include "broker/worker_table.h"

namespace tandem::broker {
namespace {

// a's free share is larger than b's: free_a / max_a > free_b / max_b, without dividing.
bool is_freer(const Worker& a, const Worker& b) {
  const uint64_t free_a = a.credit_max - a.leased;
  const uint64_t free_b = b.credit_max - b.leased;
  return free_a * b.credit_max > free_b * a.credit_max;
}

}  // namespace

Worker& WorkerTable::hello(const Hello& message, const std::string& peer, TimePoint now) {
  // A connection belongs to one worker, the one that spoke last.
  if (const Worker* other = by_peer(peer); other != nullptr && other->name != message.worker)
    forget(other->name);

  Worker& worker = workers_[message.worker];
  if (!worker.peer.empty()) by_peer_.erase(worker.peer);
  worker.name = message.worker;
  worker.peer = peer;
  worker.host = message.host;
  worker.model = message.model;
  worker.tasks = message.tasks;
  worker.credit_max = message.credit_max;
  worker.heard_at = now;
  by_peer_[peer] = &worker;
  return worker;
}

void WorkerTable::forget(const std::string& name) {
  const auto found = workers_.find(name);
  if (found == workers_.end()) return;
  by_peer_.erase(found->second.peer);
  workers_.erase(found);
}

Worker* WorkerTable::by_name(const std::string& name) {
  const auto found = workers_.find(name);
  return found == workers_.end() ? nullptr : &found->second;
}

Worker* WorkerTable::by_peer(const std::string& peer) {
  const auto found = by_peer_.find(peer);
  return found == by_peer_.end() ? nullptr : found->second;
}

Worker* WorkerTable::freest(TimePoint heard_after) {
  Worker* best = nullptr;
  for (auto& [name, worker] : workers_) {
    if (worker.leased >= worker.credit_max || worker.heard_at <= heard_after) continue;
    if (best == nullptr || is_freer(worker, *best)) best = &worker;
  }
  return best;
}

std::vector<std::string> WorkerTable::silent_since(TimePoint since) const {
  std::vector<std::string> names;
  for (const auto& [name, worker] : workers_) {
    if (worker.heard_at <= since) names.push_back(name);
  }
  return names;
}

}  // namespace tandem::broker
