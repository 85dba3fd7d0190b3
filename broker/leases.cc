#include "broker/leases.h"

#include <algorithm>

#include "shared/base/assert.h"

namespace tandem::broker {

void Leases::grant(Slot slot, Worker& worker, uint32_t attempt, TimePoint now) {
  JobRecord& job = (*jobs_)[slot];
  TANDEM_ASSERT(job.state == JobState::kReady && job.waits == Waits::kNothing,
                "a job is lent to one worker at a time");
  job.state = JobState::kLeased;
  job.begin_attempt(attempt);
  job.holder = worker.number;
  job.set_leased_at(now);
  job.set_until(now + time_);
  worker.leases.push_back(*jobs_, slot);
  workers_->count_lease(worker, job.cost);
  if (n_leases_++ == 0) earliest_ = job.until();
}

void Leases::renew(Slot slot, uint32_t attempt, TimePoint now) {
  JobRecord& job = (*jobs_)[slot];
  TANDEM_ASSERT(job.state == JobState::kLeased, "only a lease that exists can be renewed");
  Worker& worker = (*workers_)[job.holder];
  worker.leases.remove(*jobs_, slot);
  worker.leases.push_back(*jobs_, slot);
  job.attempt = std::max(job.attempt, attempt);
  job.set_until(now + time_);
}

void Leases::end(Slot slot) {
  JobRecord& job = (*jobs_)[slot];
  TANDEM_ASSERT(job.state == JobState::kLeased, "only a lease that exists can end");
  Worker& worker = (*workers_)[job.holder];
  worker.leases.remove(*jobs_, slot);
  workers_->count_end(worker, job.cost);
  job.state = JobState::kReady;
  --n_leases_;
}

Worker* Leases::holder(Slot slot) {
  const JobRecord& job = (*jobs_)[slot];
  return job.state == JobState::kLeased ? &(*workers_)[job.holder] : nullptr;
}

std::vector<Slot> Leases::expired(TimePoint now) {
  std::vector<Slot> jobs;
  if (n_leases_ == 0 || now < earliest_) return jobs;
  earliest_ = now + time_;
  for (const auto& [name, number] : workers_->all()) {
    for (Slot slot = (*workers_)[number].leases.first(); slot != kNoSlot; slot = (*jobs_)[slot].next) {
      const TimePoint ends = (*jobs_)[slot].until();
      if (ends > now) {
        earliest_ = std::min(earliest_, ends);
        break;
      }
      jobs.push_back(slot);
    }
  }
  return jobs;
}

std::vector<Slot> Leases::of_worker(const Worker& worker) const {
  std::vector<Slot> jobs;
  for (Slot slot = worker.leases.first(); slot != kNoSlot; slot = (*jobs_)[slot].next) jobs.push_back(slot);
  return jobs;
}

}  // namespace tandem::broker
