// Which ready job goes out next: interactive before bulk, then by priority, then fair between clients, and
// within one client the earliest deadline first, then the first to arrive.

#pragma once

#include <array>
#include <deque>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "broker/job_table.h"

namespace tandem::broker {

// Fairness is counted in cost, among the jobs of one urgency and priority: every client has a clock that
// advances by the cost of what it was given, and the client whose clock is furthest behind is next
// (start-time fair queueing, Goyal, Vin and Cheng 1996). With equal costs this is round robin. A client that
// had nothing waiting starts at the clock of the one served last, so that idleness earns nothing, and not
// before its own, so that bringing job after job earns nothing either.
//
// A job keeps its sequence for life, so one that comes back from a dead worker stands where it stood. The
// queue keeps `waits` of its jobs: kTurn while they are in it, and kNothing when they come out. One thread.
class ReadyQueue {
 public:
  // The table outlives the queue.
  explicit ReadyQueue(JobTable& jobs) : jobs_(&jobs) {}

  // The job must not be in a queue.
  void push(Slot job);
  // The next job, which stays; kNoSlot when there is none.
  Slot peek();
  // Takes out what peek() gives.
  void pop();
  // The job is in the queue.
  void remove(Slot job);

  // All of `other` comes in; its jobs are older than those here.
  void put_in_front(ReadyQueue&& other);

  bool empty() const { return n_jobs_ == 0; }
  size_t size() const { return n_jobs_; }
  // The job that arrived first; looks at every client, and of the jobs with deadlines at the next one only.
  // kNoSlot when there is none.
  Slot oldest() const;

 private:
  // The jobs of one client.
  struct Line {
    uint64_t clock = 0;
    std::deque<JobTable::Ticket> arrived;  // in order; kNoSlot where one left from between others
    Sequence arrived_last = 0;             // of those that came into it
    std::map<Sequence, Slot> returned;     // those that came back
    std::set<std::tuple<int64_t, Sequence, Slot>> dated;  // those with a deadline
    size_t n_left = 0;                                    // of arrived: kNoSlot
    size_t n_jobs = 0;
  };
  // The clients with jobs of one urgency and priority.
  struct Level {
    std::unordered_map<uint32_t, Line> lines;
    std::set<std::pair<uint64_t, uint32_t>> turns;  // (clock, client), first is next
    uint64_t clock = 0;                             // of the client served last, before it was served
    // Clients without jobs here whose clock is ahead of this one.
    std::unordered_map<uint32_t, uint64_t> away;
    std::set<std::pair<uint64_t, uint32_t>> away_in_order;
  };
  static constexpr size_t kLevels = 2 * (kPriorityMax + 1);

  static size_t level_of(const JobRecord& job);
  static void skip_left(Line& line);
  Slot first_of(const Line& line) const;
  static Line& line_of(Level& level, uint32_t client);
  static void forget_caught_up(Level& level);
  void take(Level& level, Line& line, Slot job);

  JobTable* jobs_;
  std::array<Level, kLevels> levels_;  // the most urgent first
  uint32_t levels_used_ = 0;           // a bit for each that is not empty
  size_t n_jobs_ = 0;
};

}  // namespace tandem::broker
