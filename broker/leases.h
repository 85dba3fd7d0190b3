// The leases: which job is lent to which worker, until when.

#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/facts.h"
#include "shared/base/clock.h"

namespace tandem::broker {

struct Lease {
  std::string worker;
  uint32_t attempt = 0;
  TimePoint deadline;
};

// A job has one lease at most. One thread.
class Leases {
 public:
  void grant(Sequence job, const std::string& worker, uint32_t attempt, TimePoint deadline);
  // The job is leased. The holder says which attempt it works on.
  void renew(Sequence job, uint32_t attempt, TimePoint deadline);
  void end(Sequence job);

  // Null if the job is not leased.
  const Lease* find(Sequence job) const;
  // In order of arrival. Looks at every lease: for workers that come and go, not for every message.
  std::vector<Sequence> of_worker(const std::string& worker) const;
  // Those whose deadline is `now` or earlier, in order of deadline.
  std::vector<Sequence> expired(TimePoint now) const;
  std::optional<TimePoint> next_deadline() const;
  size_t size() const { return leases_.size(); }

 private:
  std::unordered_map<Sequence, Lease> leases_;
  std::set<std::pair<TimePoint, Sequence>> by_deadline_;
};

}  // namespace tandem::broker
