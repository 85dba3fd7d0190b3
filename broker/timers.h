// What is to be looked at when its time has come: jobs that start later, jobs that expire.

#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "broker/job_table.h"

namespace tandem::broker {

// A heap of times. Nothing is taken out when a job does not need its time any more: whoever takes an entry
// looks whether the job still is what it was. One thread.
class Timers {
 public:
  void add(TimePoint time, JobTable::Ticket job) {
    entries_.push_back({time, job});
    std::push_heap(entries_.begin(), entries_.end(), later);
  }

  // The next job whose time is `now` or earlier. Equal times come in no order.
  std::optional<JobTable::Ticket> take(TimePoint now) {
    if (entries_.empty() || entries_.front().time > now) return std::nullopt;
    std::pop_heap(entries_.begin(), entries_.end(), later);
    const JobTable::Ticket job = entries_.back().job;
    entries_.pop_back();
    return job;
  }

  // To be called now and then: drops entries for which `is_needed(job)` is false, once they may be half of
  // all. A job with a day to live that is done in a second must not be remembered for a day.
  template <typename IsNeeded>
  void tidy(IsNeeded&& is_needed) {
    n_kept_ = std::min(n_kept_, entries_.size());
    if (entries_.size() < 2 * n_kept_ + kTidyAt) return;
    std::erase_if(entries_, [&](const Entry& entry) { return !is_needed(entry.job); });
    std::make_heap(entries_.begin(), entries_.end(), later);
    n_kept_ = entries_.size();
  }
  size_t size() const { return entries_.size(); }

  std::optional<TimePoint> next() const {
    if (entries_.empty()) return std::nullopt;
    return entries_.front().time;
  }

 private:
  struct Entry {
    TimePoint time;
    JobTable::Ticket job;
  };
  static bool later(const Entry& a, const Entry& b) { return a.time > b.time; }

  static constexpr size_t kTidyAt = 4096;

  std::vector<Entry> entries_;
  size_t n_kept_ = 0;  // when it was last tidied up
};

}  // namespace tandem::broker
