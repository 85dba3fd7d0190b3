#include "worker/frontend/flights.h"

#include <utility>

namespace tandem {

Flight* Flights::find(const Hash128& key) {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : find(found->second);
}

Flight* Flights::find(SequenceId id) {
  const auto found = flights_.find(id);
  return found == flights_.end() ? nullptr : &found->second;
}

Flight& Flights::start(WorkOrder order) {
  const SequenceId id = ++id_last_;
  by_key_[order.key] = id;
  Flight& flight = flights_[id];
  flight.id = id;
  flight.order = std::move(order);
  return flight;
}

std::optional<Flight> Flights::end(SequenceId id) {
  auto node = flights_.extract(id);
  if (node.empty()) return std::nullopt;
  by_key_.erase(node.mapped().order.key);
  return std::move(node.mapped());
}

bool Flights::has_begun(const JobId& job) const {
  for (const auto& [id, flight] : flights_) {
    if (!flight.begun) continue;
    for (const Waiter& waiter : flight.waiters) {
      if (waiter.job == job) return true;
    }
  }
  return false;
}

std::vector<SequenceId> Flights::leave(const JobId& job, std::optional<uint32_t> task_index) {
  std::vector<SequenceId> empty;
  for (auto& [id, flight] : flights_) {
    const size_t n_gone = std::erase_if(flight.waiters, [&](const Waiter& waiter) {
      return waiter.job == job && (!task_index || waiter.task_index == *task_index);
    });
    if (n_gone > 0 && flight.waiters.empty()) empty.push_back(id);
  }
  for (const SequenceId id : empty) end(id);
  return empty;
}

}  // namespace tandem
