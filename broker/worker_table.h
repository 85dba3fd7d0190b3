// The workers that said Hello and are heard of, who of them has room, and who is given which job.

#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/job_table.h"
#include "shared/base/clock.h"
#include "shared/protocol/messages.h"

namespace tandem::broker {

struct Worker {
  std::string name;  // what leases know it by
  std::string peer;  // its connection, what messages are addressed to
  std::string host;
  std::string model;
  std::vector<std::string> tasks;
  uint32_t credit_max = 0;         // jobs at a time; 0 while it drains
  uint32_t interactive_extra = 0;  // interactive jobs on top of that
  uint64_t cost_max = 0;           // of its jobs together; 0: not limited
  bool is_draining = false;        // by an administrator's word: gets nothing until told otherwise
  bool is_kept_free = false;       // for a job that goes out alone, or because it has one
  uint64_t finished = 0;
  TimePoint heard_at;

  uint32_t number = 0;  // in the table
  uint32_t host_number = 0;
  SlotList leases;  // the one that runs out first is first
  uint64_t cost_leased = 0;
  TimePoint recalled_at;         // when it was last asked to give jobs back
  size_t open_place = SIZE_MAX;  // among the open ones of its host, if it is one
  TimePoint gave_back_at;        // when it did, if it has finished none since: it has more than it can begin

  // May it get one more job? A worker without jobs may get any, however costly.
  bool has_room(Urgency urgency, uint64_t cost) const {
    const uint64_t n_max = uint64_t{credit_max} + (urgency == Urgency::kInteractive ? interactive_extra : 0);
    if (credit_max == 0 || is_draining || is_kept_free || leases.size() >= n_max) return false;
    return cost_max == 0 || leases.empty() || cost_leased + cost <= cost_max;
  }
};

// A worker is known by its name; its connection may change. References stay good until it is forgotten.
//
// Jobs are given by their route: among hosts with room the one that scores highest for the route (rendezvous
// hashing, Thaler and Ravishankar 1998), so that a host's caches see the texts they know and a host that
// comes or goes moves only its own share; but no host gets more than its share and a quarter (bounded loads,
// Mirrokni, Thorup and Zadimoghaddam 2018), as long as another has room. On the host, the worker with the
// largest share of its credit free. One thread.
class WorkerTable {
 public:
  // The worker introduces itself over `peer`, for the first time or again.
  Worker& hello(const Hello& message, const std::string& peer, TimePoint now);
  // It has no leases any more.
  void forget(const std::string& name);

  // Null if nobody of that name or connection said Hello.
  Worker* by_name(const std::string& name);
  Worker* by_peer(const std::string& peer);
  Worker& operator[](uint32_t number) { return slots_[number]; }
  const Worker& operator[](uint32_t number) const { return slots_[number]; }

  // The worker for a job, of those heard of after `heard_after`; null if none has room. One that gave jobs
  // back after that is chosen when nobody else has room.
  Worker* pick(uint64_t route, uint64_t cost, Urgency urgency, TimePoint heard_after);

  void keep_free(Worker& worker, bool is_kept_free) {
    worker.is_kept_free = is_kept_free;
    update(worker);
  }
  // What the worker may be given has changed.
  void update(Worker& worker);
  void count_gave_back(Worker& worker, TimePoint now) { worker.gave_back_at = gave_back_at_ = now; }
  // A job was lent to the worker, or came back from it.
  void count_lease(Worker& worker, uint64_t cost);
  void count_end(Worker& worker, uint64_t cost);

  // Names of those without leases that were not heard of for `time`.
  std::vector<std::string> silent_for(Duration time, TimePoint now);
  size_t size() const { return by_name_.size(); }
  const std::map<std::string, uint32_t>& all() const { return by_name_; }

 private:
  struct Host {
    std::string name;
    uint64_t hash = 0;
    size_t n_workers = 0;
    std::vector<uint32_t> open;    // its workers that may be given something
    size_t open_place = SIZE_MAX;  // among the hosts that have such workers, if it does
    uint64_t cost_leased = 0;
  };
  void join(Worker& worker, const std::string& host);
  void leave(Worker& worker);
  Worker* pick_host(uint64_t route, uint64_t cost, Urgency urgency, TimePoint heard_after);
  Worker* pick_at(Host& host, uint64_t cost, Urgency urgency, TimePoint heard_after);
  uint64_t next_random();

  std::deque<Worker> slots_;
  std::vector<uint32_t> free_;
  std::map<std::string, uint32_t> by_name_;
  std::unordered_map<std::string, uint32_t> by_peer_;
  std::deque<Host> hosts_;  // those without workers are used again
  std::vector<uint32_t> free_hosts_;
  std::vector<uint32_t>
      open_hosts_;  // only these are looked at for a job: a crowd without credit costs nothing
  std::unordered_map<std::string, uint32_t> host_numbers_;
  std::vector<std::pair<uint64_t, uint32_t>> ranking_;  // of the hosts, for one job
  uint64_t cost_leased_ = 0;
  TimePoint gave_back_at_;           // the last of all workers
  bool passes_over_givers_ = false;  // while pick() looks for somebody else
  TimePoint silence_at_;             // nobody is silent for too long before
  uint64_t random_ = 1;
};

}  // namespace tandem::broker
