// The finished jobs that are still kept: when each is forgotten, and which of them are dead.

#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "broker/job_table.h"

namespace tandem::broker {

// One thread.
class FinishedJobs {
 public:
  // The table outlives it.
  FinishedJobs(JobTable& jobs, int64_t retention_ms) : jobs_(&jobs), retention_ms_(retention_ms) {}

  // The job has its outcome, later than all before it.
  void add(Slot job) {
    push(order_, job);
    if ((*jobs_)[job].state == JobState::kDead) dead_.emplace((*jobs_)[job].finished(), job);
    ++size_;
  }
  // Its outcome is where it is wanted, and need not be kept when room is short.
  void arrived(Slot job) { push(arrived_, job); }
  // The job is forgotten, or not finished any more. To be told before its record changes.
  void remove(Slot job) {
    dead_.erase((*jobs_)[job].finished());
    --size_;
  }

  size_t size() const { return size_; }
  const std::map<Sequence, Slot>& dead() const { return dead_; }  // in the order in which they died

  // The job of a finished fact, if it is kept; kNoSlot otherwise.
  Slot find(Sequence finished) const {
    const auto found = std::lower_bound(order_.begin(), order_.end(), finished,
                                        [](const Entry& entry, Sequence at) { return entry.finished < at; });
    if (found == order_.end() || found->finished != finished || !is_kept(*found)) return kNoSlot;
    return found->job;
  }

  // Those that finished `retention_ms` ago or earlier, oldest first and `n_max` at most; with `also_arrived`
  // those, too, that arrived first. Only facts below `before`. They are still there: remove() them.
  std::vector<Slot> due(int64_t wall_ms, size_t n_max, Sequence before, bool also_arrived) {
    std::vector<Slot> taken;
    const auto take_while = [&](std::deque<Entry>& from, auto&& is_due) {
      for (skip_gone(from); taken.size() < n_max && !from.empty(); skip_gone(from)) {
        if (from.front().finished >= before || !is_due(from.front())) break;
        taken.push_back(from.front().job);
        from.pop_front();
      }
    };
    take_while(order_, [&](const Entry& entry) {
      return (*jobs_)[entry.job].finished_ms() + retention_ms_ <= wall_ms;
    });
    // Nothing is taken twice.
    if (also_arrived && taken.empty()) take_while(arrived_, [](const Entry&) { return true; });
    return taken;
  }

  // When the oldest is due, in wall time; nothing if none is kept. The wall clock may have been set back
  // between two jobs, so the order of finishing is what counts.
  std::optional<int64_t> next_due_ms() {
    skip_gone(order_);
    if (order_.empty()) return std::nullopt;
    return (*jobs_)[order_.front().job].finished_ms() + retention_ms_;
  }

 private:
  struct Entry {
    Sequence finished = 0;
    Slot job = kNoSlot;
  };
  static constexpr size_t kGoneAtLeast = 1'000;

  bool is_kept(const Entry& entry) const { return (*jobs_)[entry.job].finished() == entry.finished; }
  void skip_gone(std::deque<Entry>& entries) const {
    while (!entries.empty() && !is_kept(entries.front())) entries.pop_front();
  }
  // One that is kept long must not have all those behind it remembered that are gone.
  void push(std::deque<Entry>& entries, Slot job) {
    if (entries.size() > 2 * size_ + kGoneAtLeast) {
      std::erase_if(entries, [&](const Entry& entry) { return !is_kept(entry); });
    }
    entries.push_back({(*jobs_)[job].finished(), job});
  }

  JobTable* jobs_;
  int64_t retention_ms_;
  std::deque<Entry> order_;    // as they finished
  std::deque<Entry> arrived_;  // as they arrived
  std::map<Sequence, Slot> dead_;
  size_t size_ = 0;
};

}  // namespace tandem::broker
