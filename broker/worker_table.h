// The workers that said Hello and are heard of, and who of them has room.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "shared/base/clock.h"
#include "shared/protocol/messages.h"

namespace tandem::broker {

struct Worker {
  std::string name;  // what leases know it by
  std::string peer;  // its connection, what messages are addressed to
  std::string host;
  std::string model;
  std::vector<std::string> tasks;
  uint32_t credit_max = 0;  // jobs at a time; 0 while it drains
  uint32_t leased = 0;
  uint64_t finished = 0;
  TimePoint heard_at;
};

// A worker is known by its name; its connection may change. One thread. Pointers stay good until the worker
// is forgotten.
class WorkerTable {
 public:
  // The worker introduces itself over `peer`, for the first time or again. The caller sets `leased`.
  Worker& hello(const Hello& message, const std::string& peer, TimePoint now);
  void forget(const std::string& name);

  // Null if nobody of that name or connection said Hello.
  Worker* by_name(const std::string& name);
  Worker* by_peer(const std::string& peer);

  // Of those with credit left that were heard of after `heard_after`, the one with the largest share of its
  // credit free; null if there is none. Ties go to the name that sorts first.
  Worker* freest(TimePoint heard_after);

  // Names of those not heard of since `since`.
  std::vector<std::string> silent_since(TimePoint since) const;
  size_t size() const { return workers_.size(); }
  const std::map<std::string, Worker>& all() const { return workers_; }

 private:
  std::map<std::string, Worker> workers_;
  std::unordered_map<std::string, Worker*> by_peer_;
};

}  // namespace tandem::broker
