// Work that is with the model, and who waits for it. Equal questions that meet here run once (single flight):
// their answers would be equal to the byte.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/ids.h"
#include "worker/frontend/trimmed_stream.h"
#include "worker/frontend/work_order.h"
#include "worker/scheduler/inference.h"

namespace tandem {

// A task of a job that waits for a flight.
struct Waiter {
  JobId job;
  uint32_t task_index = 0;
  bool stream = false;
  bool cut = false;  // its text: equal prompts may be of a text that was cut and one that was not
  std::optional<uint32_t> part = {};  // of a long text: LongTask::Part::number
  size_t n_streamed = 0;              // bytes of the answer that it was told
};

struct Flight {
  SequenceId id = 0;
  WorkOrder order;
  std::vector<Waiter> waiters;
  Urgency urgency = Urgency::kBulk;
  bool begun = false;     // by the model
  bool store = false;     // somebody allows the answer into the cache
  std::string published;  // of a streamed answer, so far
  TrimmedStream trim;
};

// Belongs to the frontend thread.
class Flights {
 public:
  // The flight that will answer `key`, if one is in the air.
  Flight* find(const Hash128& key);
  Flight* find(SequenceId id);

  // A new flight with a number of its own; the reference is valid until it ends.
  Flight& start(WorkOrder order);

  // Takes it out. Nothing when it is not there: nobody waited any more.
  std::optional<Flight> end(SequenceId id);

  // Whether the model works on one of the job's tasks, or has.
  bool has_begun(const JobId& job) const;

  // Takes a job's tasks, or the one at `task_index`, out of all flights; gives the flights that nobody waits
  // for any more, which are over.
  std::vector<SequenceId> leave(const JobId& job, std::optional<uint32_t> task_index = {});

  size_t size() const { return flights_.size(); }

 private:
  SequenceId id_last_ = 0;
  std::unordered_map<SequenceId, Flight> flights_;
  std::map<Hash128, SequenceId> by_key_;
};

}  // namespace tandem
