#include "broker/leases.h"

#include <algorithm>

#include "shared/base/assert.h"

namespace tandem::broker {

void Leases::grant(Sequence job, const std::string& worker, uint32_t attempt, TimePoint deadline) {
  const bool is_new = leases_.try_emplace(job, Lease{worker, attempt, deadline}).second;
  TANDEM_ASSERT(is_new, "a job is lent to one worker at a time");
  by_deadline_.emplace(deadline, job);
}

void Leases::renew(Sequence job, uint32_t attempt, TimePoint deadline) {
  const auto found = leases_.find(job);
  TANDEM_ASSERT(found != leases_.end(), "only a lease that exists can be renewed");
  auto node = by_deadline_.extract({found->second.deadline, job});
  node.value().first = deadline;
  by_deadline_.insert(std::move(node));
  found->second.attempt = attempt;
  found->second.deadline = deadline;
}

void Leases::end(Sequence job) {
  const auto found = leases_.find(job);
  TANDEM_ASSERT(found != leases_.end(), "only a lease that exists can end");
  by_deadline_.erase({found->second.deadline, job});
  leases_.erase(found);
}

const Lease* Leases::find(Sequence job) const {
  const auto found = leases_.find(job);
  return found == leases_.end() ? nullptr : &found->second;
}

std::vector<Sequence> Leases::of_worker(const std::string& worker) const {
  std::vector<Sequence> jobs;
  for (const auto& [job, lease] : leases_) {
    if (lease.worker == worker) jobs.push_back(job);
  }
  std::sort(jobs.begin(), jobs.end());
  return jobs;
}

std::vector<Sequence> Leases::expired(TimePoint now) const {
  std::vector<Sequence> jobs;
  for (const auto& [deadline, job] : by_deadline_) {
    if (deadline > now) break;
    jobs.push_back(job);
  }
  return jobs;
}

std::optional<TimePoint> Leases::next_deadline() const {
  if (by_deadline_.empty()) return std::nullopt;
  return by_deadline_.begin()->first;
}

}  // namespace tandem::broker
