// Which ready job goes out next: fair between clients, and in order of arrival within one.

#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "broker/facts.h"
#include "shared/base/clock.h"

namespace tandem::broker {

// Fairness is counted in cost: every client has a clock that advances by the cost of what it was given, and
// the client whose clock is furthest behind is next (start-time fair queueing). With equal costs this is
// round robin. A client that had nothing waiting starts at the clock of the one served last, so that
// idleness earns nothing.
//
// A job keeps its sequence for life, so one that comes back from a dead worker stands where it stood.
// Nothing here depends on the order of calls beyond that; ties go to the client whose name sorts first.
class ReadyQueue {
 public:
  // The job must not be in the queue.
  void push(const std::string& client, Sequence job, uint32_t cost);

  // The job joins when release() is called at `not_before` or later.
  void push_delayed(const std::string& client, Sequence job, uint32_t cost, TimePoint not_before);

  // Lets those in whose time has come.
  void release(TimePoint now);

  // Takes the next job out, or nothing if none is ready (delayed ones are not).
  std::optional<Sequence> pop();

  // Takes a job out wherever it is. False if it is not here.
  bool remove(const std::string& client, Sequence job);

  bool empty() const { return turns_.empty(); }  // nothing to pop
  size_t size() const { return n_ready_ + delayed_.size(); }
  std::optional<TimePoint> next_release() const;

 private:
  struct Client {
    uint64_t clock = 0;
    std::map<Sequence, uint32_t> jobs;  // with their cost
  };
  struct Delayed {
    std::string client;
    uint32_t cost = 1;
  };

  std::map<std::string, Client> clients_;             // those with jobs ready
  std::set<std::pair<uint64_t, std::string>> turns_;  // (clock, client), first is next
  std::map<std::pair<TimePoint, Sequence>, Delayed> delayed_;
  std::unordered_map<Sequence, TimePoint> delayed_until_;
  uint64_t clock_ = 0;  // of the client served last, before it was served
  size_t n_ready_ = 0;
};

}  // namespace tandem::broker
