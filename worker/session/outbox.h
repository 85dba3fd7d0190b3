// Results and parts on their way to the broker: kept until the socket took them, so that a broker that is
// away, or a queue that is full, loses no finished work.

#pragma once

#include <string>
#include <vector>

#include "shared/protocol/messages.h"

namespace tandem {

// One thread. Results are bounded by the credits of the worker: no more are in here than jobs are held. Parts
// are best effort, as the protocol says: over `parts_max` the oldest go.
class Outbox {
 public:
  Outbox(std::string worker, size_t parts_max) : worker_(std::move(worker)), parts_max_(parts_max) {}

  void add(PartialItem part);
  void add(ResultItem result);

  bool empty() const { return parts_.empty() && results_.empty(); }
  size_t n_results() const { return results_.size(); }
  uint64_t n_parts_dropped() const { return n_parts_dropped_; }

  // The next message to send, with all that is ready and fits: parts first, because those of a job come
  // before its result. sent() drops what was in it.
  Message next() const;
  // Gives the results that went with it.
  std::vector<ResultItem> sent();

 private:
  std::string worker_;
  size_t parts_max_;
  std::vector<PartialItem> parts_;
  std::vector<ResultItem> results_;
  uint64_t n_parts_dropped_ = 0;
};

}  // namespace tandem
