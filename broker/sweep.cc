#include "broker/sweep.h"

#include "shared/base/assert.h"

namespace tandem::broker {

void Sweep::add(const JobId& id, const FinishedRecord& record) {
  const bool is_new = records_.emplace(id, record).second;
  TANDEM_ASSERT(is_new, "a job finishes once");
  order_.push_back(id);
}

const FinishedRecord* Sweep::find(const JobId& id) const {
  const auto found = records_.find(id);
  return found == records_.end() ? nullptr : &found->second;
}

std::vector<Sequence> Sweep::take_due(int64_t wall_ms, size_t n_jobs_max) {
  std::vector<Sequence> forgotten;
  for (size_t n = 0; n < n_jobs_max && !order_.empty(); ++n) {
    const auto found = records_.find(order_.front());
    if (found->second.finished_ms + retention_ms_ > wall_ms) break;
    forgotten.push_back(found->second.accepted);
    forgotten.push_back(found->second.finished);
    records_.erase(found);
    order_.pop_front();
  }
  return forgotten;
}

std::optional<int64_t> Sweep::next_due_ms() const {
  if (order_.empty()) return std::nullopt;
  return records_.at(order_.front()).finished_ms + retention_ms_;
}

}  // namespace tandem::broker
