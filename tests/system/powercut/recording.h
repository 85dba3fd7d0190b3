// A real broker under load, with every write of its journal recorded, and beside it, on the same clock, what
// it told its client.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "shared/base/ids.h"
#include "shared/base/result.h"
#include "tests/system/powercut/write_log.h"

namespace tandem::testing {

// What the client knows of a job, and since when (CLOCK_MONOTONIC, ns; 0: never).
struct Promise {
  int64_t accepted_at = 0;
  int64_t outcome_at = 0;
  std::string outcome;    // outcome_word() in tests/system/campaign/record.h
  int64_t forget_at = 0;  // the client asked to forget it: from then on it may be gone
};

struct Recording {
  std::vector<WriteRecord> writes;
  std::map<JobId, Promise> promises;
};

// Runs the broker for `n_jobs`. kInternal when the log does not give the journal as it is on the disk in the
// end: something writes in a way that is not recorded.
Result<Recording> record_broker(size_t n_jobs, uint64_t seed);

}  // namespace tandem::testing
