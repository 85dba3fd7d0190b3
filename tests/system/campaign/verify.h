// Holds the queue to what it said: every job that was accepted has exactly one outcome, and everybody who
// heard it heard the same.

#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "client/include/tandem/client.h"
#include "tests/system/campaign/record.h"

namespace tandem::testing {

struct Findings {
  size_t n_submitted = 0, n_accepted = 0, n_outcomes = 0;  // jobs
  size_t n_done = 0, n_dead = 0, n_expired = 0, n_cancelled = 0, n_failed = 0;
  size_t n_witnessed = 0;  // outcomes that were compared with what was published
  // What must be 0.
  size_t n_lost = 0;      // accepted, and the broker does not know it
  size_t n_stuck = 0;     // known, and without an outcome in the end
  size_t n_doubled = 0;   // two different outcomes, or one outcome heard twice by one process
  size_t n_leftover = 0;  // jobs that the broker says have not ended, after all have
  std::vector<std::string> examples;

  bool good() const { return n_lost + n_stuck + n_doubled + n_leftover == 0; }
  void add(const Findings& other);
};

// Asks the broker about every job of `records`, again and again until all have ended or `at_most` has passed.
Findings verify(Client& client, const JobRecords& records,
                const std::map<JobId, std::set<std::string>>& witnessed, Duration at_most);

}  // namespace tandem::testing
