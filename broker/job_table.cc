#include "broker/job_table.h"

#include "shared/base/assert.h"

namespace tandem::broker {
namespace {

constexpr size_t kTidyAt = 4096;  // finished jobs in the order of arrival that are not worth the work

}  // namespace

Slot JobTable::add(const JobRecord& record) {
  Slot slot = kNoSlot;
  if (free_.empty()) {
    slot = static_cast<Slot>(n_slots_++);
    if (slot / kChunk == chunks_.size()) chunks_.push_back(std::make_unique<JobRecord[]>(kChunk));
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  (*this)[slot] = record;
  ids_.insert(record.id, slot);
  TANDEM_DCHECK(arrivals_.empty() || arrivals_.back().sequence() < record.sequence,
                "jobs arrive one after the other");
  arrivals_.push_back(ticket(slot));
  ++n_jobs_;
  return slot;
}

void JobTable::erase(Slot slot) {
  ids_.erase((*this)[slot].id, slot);
  (*this)[slot] = JobRecord{};
  free_.push_back(slot);
  --n_jobs_;
}

void JobTable::arrive_again(Slot slot) {
  const Sequence sequence = (*this)[slot].sequence;
  const auto place = place_of(arrivals_, sequence);
  if (place != arrivals_.end() && place->sequence() == sequence) return;
  arrivals_.insert(place, ticket(slot));
}

void JobTable::tidy() {
  while (!arrivals_.empty() && !is_unfinished(arrivals_.front())) arrivals_.pop_front();
  n_arrivals_seen_ = std::min(n_arrivals_seen_, arrivals_.size());
  // One job that waits for a year must not keep the places of all that came and went after it.
  if (arrivals_.size() < 2 * n_arrivals_seen_ + kTidyAt) return;
  std::erase_if(arrivals_, [this](const Ticket& arrival) { return !is_unfinished(arrival); });
  n_arrivals_seen_ = arrivals_.size();
}

void SlotList::push_back(JobTable& jobs, Slot slot) {
  JobRecord& record = jobs[slot];
  record.previous = last_;
  record.next = kNoSlot;
  (last_ == kNoSlot ? first_ : jobs[last_].next) = slot;
  last_ = slot;
  ++size_;
}

void SlotList::remove(JobTable& jobs, Slot slot) {
  JobRecord& record = jobs[slot];
  (record.previous == kNoSlot ? first_ : jobs[record.previous].next) = record.next;
  (record.next == kNoSlot ? last_ : jobs[record.next].previous) = record.previous;
  record.previous = record.next = kNoSlot;
  --size_;
}

}  // namespace tandem::broker
