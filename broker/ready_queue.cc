#include "broker/ready_queue.h"

#include <algorithm>

#include "shared/base/assert.h"

namespace tandem::broker {

void ReadyQueue::push(const std::string& client, Sequence job, uint32_t cost) {
  auto [found, is_new] = clients_.try_emplace(client);
  if (is_new) {
    found->second.clock = clock_;
    turns_.emplace(clock_, client);
  }
  const bool added = found->second.jobs.emplace(job, std::max(cost, 1u)).second;
  TANDEM_ASSERT(added, "a job is in the ready queue once");
  ++n_ready_;
}

void ReadyQueue::push_delayed(const std::string& client, Sequence job, uint32_t cost, TimePoint not_before) {
  const bool added = delayed_until_.emplace(job, not_before).second;
  TANDEM_ASSERT(added, "a job is in the ready queue once");
  delayed_.emplace(std::pair(not_before, job), Delayed{client, cost});
}

void ReadyQueue::release(TimePoint now) {
  while (!delayed_.empty() && delayed_.begin()->first.first <= now) {
    const auto node = delayed_.extract(delayed_.begin());
    delayed_until_.erase(node.key().second);
    push(node.mapped().client, node.key().second, node.mapped().cost);
  }
}

std::optional<Sequence> ReadyQueue::pop() {
  if (turns_.empty()) return std::nullopt;
  auto turn = turns_.extract(turns_.begin());
  const auto found = clients_.find(turn.value().second);
  Client& client = found->second;

  const auto [job, cost] = *client.jobs.begin();
  client.jobs.erase(client.jobs.begin());
  --n_ready_;
  clock_ = client.clock;

  if (client.jobs.empty()) {
    // It is gone from here, yet must not come back ahead of its share: whoever is pushed next starts at
    // clock_, which is what this one had before it was served. One job's cost is all it can gain.
    clients_.erase(found);
    return job;
  }
  client.clock += cost;
  turn.value().first = client.clock;
  turns_.insert(std::move(turn));
  return job;
}

bool ReadyQueue::remove(const std::string& client, Sequence job) {
  const auto found = clients_.find(client);
  if (found != clients_.end() && found->second.jobs.erase(job) == 1) {
    --n_ready_;
    if (found->second.jobs.empty()) {
      turns_.erase({found->second.clock, client});
      clients_.erase(found);
    }
    return true;
  }
  const auto delayed = delayed_until_.find(job);
  if (delayed == delayed_until_.end()) return false;
  delayed_.erase({delayed->second, job});
  delayed_until_.erase(delayed);
  return true;
}

std::optional<TimePoint> ReadyQueue::next_release() const {
  if (delayed_.empty()) return std::nullopt;
  return delayed_.begin()->first.first;
}

}  // namespace tandem::broker
