// What is to be looked at when its time has come: jobs that start later, jobs that expire.

#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "broker/job_table.h"

namespace tandem::broker {

// A heap of times. Nothing is ever taken out before its time: whoever takes an entry looks whether the job
// still is what it was. One thread.
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

  std::vector<Entry> entries_;
};

}  // namespace tandem::broker
