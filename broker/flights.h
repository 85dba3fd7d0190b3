// Equal jobs that are under way at the same time run once (single flight): one of them, the leader, goes
// through the queue, and the others wait for its outcome.

#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/job_table.h"
#include "shared/base/assert.h"

namespace tandem::broker {

// Jobs are equal when their payloads are: text, tasks, settings and namespace are all in there. The hash of
// the payload is 128 bits and keyed, so that nobody can make two payloads meet on purpose. One thread.
class Flights {
  auto at() const {
    return [this](Slot slot) -> const JobRecord& { return (*jobs_)[slot]; };
  }

 public:
  // The table outlives it.
  explicit Flights(JobTable& jobs) : jobs_(&jobs) {}

  // The job waits for nothing. True: it is the leader of its payload, now or already. False: it now waits for
  // another (Waits::kTwin).
  bool lead_or_join(Slot job) {
    const Slot leader = leaders_.find((*jobs_)[job].payload_hash, at());
    if (leader == job) return true;
    if (leader == kNoSlot) {
      leaders_.insert((*jobs_)[job].payload_hash, job);
      return true;
    }
    (*jobs_)[job].waits = Waits::kTwin;
    twins_[leader].push_back(*jobs_, job);
    ++n_waiting_;
    return false;
  }

  // The job that this one's payload is led by; kNoSlot if there is none.
  Slot leader_of(Slot job) const { return leaders_.find((*jobs_)[job].payload_hash, at()); }

  // The job, which waits for its leader, leads, and the other, which must wait for nothing, now waits for it.
  void take_over(Slot job) {
    const Slot leader = leader_of(job);
    auto twins = twins_.extract(leader);
    twins.mapped().remove(*jobs_, job);
    twins.mapped().push_back(*jobs_, leader);
    twins.key() = job;
    twins_.insert(std::move(twins));
    (*jobs_)[job].waits = Waits::kNothing;
    (*jobs_)[leader].waits = Waits::kTwin;
    const Hash128 payload = (*jobs_)[job].payload_hash;
    leaders_.erase(payload, leader);
    leaders_.insert(payload, job);
  }

  // For a job that is leased already: it leads unless another does.
  void lead_if_free(Slot job) {
    if (leaders_.find((*jobs_)[job].payload_hash, at()) == kNoSlot)
      leaders_.insert((*jobs_)[job].payload_hash, job);
  }

  // The job waits for its leader, and now for nothing; it does not lead.
  void leave(Slot job) {
    JobRecord& record = (*jobs_)[job];
    TANDEM_ASSERT(record.waits == Waits::kTwin, "only who joined can leave");
    const auto found = twins_.find(leader_of(job));
    found->second.remove(*jobs_, job);
    if (found->second.empty()) twins_.erase(found);
    record.waits = Waits::kNothing;
    --n_waiting_;
  }

  // Those that wait for the job, the first `n_max` in the order in which they came, now wait for nothing.
  // When no more wait the job does not lead any more. Empty if nobody did, or it did not lead.
  std::vector<Slot> land(Slot job, size_t n_max = SIZE_MAX) {
    if (!leads(job)) return {};
    std::vector<Slot> landed;
    const auto found = twins_.find(job);
    for (; found != twins_.end() && !found->second.empty() && landed.size() < n_max; --n_waiting_) {
      const Slot twin = found->second.first();
      found->second.remove(*jobs_, twin);
      (*jobs_)[twin].waits = Waits::kNothing;
      landed.push_back(twin);
    }
    if (found != twins_.end() && !found->second.empty()) return landed;
    if (found != twins_.end()) twins_.erase(found);
    leaders_.erase((*jobs_)[job].payload_hash, job);
    return landed;
  }

  // The job does not lead any more; one of those that wait for it does, and now waits for nothing. The best
  // of the first few, by `is_better(a, b)`: millions may wait. kNoSlot if nobody does, or the job did not
  // lead.
  template <typename IsBetter>
  Slot hand_over(Slot job, IsBetter&& is_better) {
    constexpr int kLookedAt = 16;
    if (!leads(job)) return kNoSlot;
    leaders_.erase((*jobs_)[job].payload_hash, job);
    auto twins = twins_.extract(job);
    if (twins.empty()) return kNoSlot;
    Slot next = twins.mapped().first();
    Slot twin = (*jobs_)[next].next;
    for (int i = 1; i < kLookedAt && twin != kNoSlot; ++i, twin = (*jobs_)[twin].next) {
      if (is_better(twin, next)) next = twin;
    }
    twins.mapped().remove(*jobs_, next);
    --n_waiting_;
    (*jobs_)[next].waits = Waits::kNothing;
    leaders_.insert((*jobs_)[next].payload_hash, next);
    if (twins.mapped().empty()) return next;
    twins.key() = next;
    twins_.insert(std::move(twins));
    return next;
  }

  size_t n_twins(Slot leader) const {
    const auto found = twins_.find(leader);
    return found == twins_.end() ? 0 : found->second.size();
  }

  // Calls visit(slot) for the jobs that wait for `leader` until it says false.
  template <typename Visit>
  void for_twins(Slot leader, Visit&& visit) const {
    const auto found = twins_.find(leader);
    if (found == twins_.end()) return;
    for (Slot twin = found->second.first(); twin != kNoSlot && visit(twin);) twin = (*jobs_)[twin].next;
  }

  size_t n_waiting() const { return n_waiting_; }  // for any other

 private:
  bool leads(Slot job) const { return leader_of(job) == job; }

  JobTable* jobs_;
  SlotIndex<ByPayload> leaders_;
  std::unordered_map<Slot, SlotList> twins_;  // by leader, if there are any
  size_t n_waiting_ = 0;
};

}  // namespace tandem::broker
