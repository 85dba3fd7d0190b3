#include "broker/ready_queue.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "shared/base/assert.h"

namespace tandem::broker {

size_t ReadyQueue::level_of(const JobRecord& job) {
  const size_t n_priorities = kPriorityMax + 1;
  return (job.urgency == Urgency::kInteractive ? 0 : n_priorities) + (kPriorityMax - job.priority);
}

void ReadyQueue::skip_left(Line& line) {
  for (; !line.arrived.empty() && line.arrived.front().slot == kNoSlot; --line.n_left)
    line.arrived.pop_front();
  // One that waits long must not keep the places of all that came and went after it.
  constexpr size_t kTidyAt = 64;
  if (line.n_left < line.arrived.size() / 2 + kTidyAt) return;
  std::erase_if(line.arrived, [](const JobTable::Ticket& one) { return one.slot == kNoSlot; });
  line.n_left = 0;
}

ReadyQueue::Line& ReadyQueue::line_of(Level& level, uint32_t client) {
  const auto [found, is_new] = level.lines.try_emplace(client);
  Line& line = found->second;
  if (!is_new) return line;
  line.clock = level.clock;
  if (const auto away = level.away.find(client); away != level.away.end()) {
    line.clock = std::max(line.clock, away->second);
    level.away_in_order.erase({away->second, client});
    level.away.erase(away);
  }
  level.turns.emplace(line.clock, client);
  return line;
}

void ReadyQueue::forget_caught_up(Level& level) {
  while (!level.away_in_order.empty() && level.away_in_order.begin()->first <= level.clock) {
    level.away.erase(level.away_in_order.begin()->second);
    level.away_in_order.erase(level.away_in_order.begin());
  }
}

void ReadyQueue::push(Slot slot) {
  JobRecord& job = (*jobs_)[slot];
  TANDEM_ASSERT(job.waits == Waits::kNothing, "a job is in the ready queue once");
  job.waits = Waits::kTurn;

  const size_t at = level_of(job);
  Level& level = levels_[at];
  levels_used_ |= 1u << at;
  Line& line = line_of(level, job.client);
  if (job.expires_ms != 0) {
    line.dated.emplace(job.expires_ms, job.sequence, slot);
  } else if (job.sequence > line.arrived_last) {
    line.arrived.push_back(jobs_->ticket(slot));
    line.arrived_last = job.sequence;
  } else {
    line.returned.emplace(job.sequence, slot);
  }
  ++line.n_jobs;
  ++n_jobs_;
}

// The line has a job.
Slot ReadyQueue::first_of(const Line& line) const {
  if (!line.dated.empty()) return std::get<2>(*line.dated.begin());
  if (line.returned.empty()) return line.arrived.front().slot;
  const auto [sequence, slot] = *line.returned.begin();
  if (line.arrived.empty() || sequence < line.arrived.front().sequence()) return slot;
  return line.arrived.front().slot;
}

Slot ReadyQueue::peek() {
  if (levels_used_ == 0) return kNoSlot;
  Level& level = levels_[static_cast<size_t>(std::countr_zero(levels_used_))];
  return first_of(level.lines.at(level.turns.begin()->second));
}

void ReadyQueue::pop() {
  Level& level = levels_[static_cast<size_t>(std::countr_zero(levels_used_))];
  const auto [clock, client] = *level.turns.begin();
  Line& line = level.lines.at(client);
  const Slot slot = first_of(line);
  const uint64_t cost = std::max<uint64_t>((*jobs_)[slot].cost, 1);
  level.clock = clock;
  auto turn = level.turns.extract(level.turns.begin());
  line.clock += cost;
  turn.value().first = line.clock;
  level.turns.insert(std::move(turn));
  if (!level.away.empty()) forget_caught_up(level);
  take(level, line, slot);
}

void ReadyQueue::remove(Slot slot) {
  Level& level = levels_[level_of((*jobs_)[slot])];
  take(level, level.lines.at((*jobs_)[slot].client), slot);
}

void ReadyQueue::take(Level& level, Line& line, Slot slot) {
  JobRecord& job = (*jobs_)[slot];
  TANDEM_ASSERT(job.waits == Waits::kTurn, "only what is in the queue can be taken out");
  job.waits = Waits::kNothing;
  if (job.expires_ms != 0) {
    line.dated.erase({job.expires_ms, job.sequence, slot});
  } else if (line.returned.erase(job.sequence) == 0) {
    // Nearly always the first.
    const auto place = line.arrived.front().slot == slot ? line.arrived.begin()
                                                         : JobTable::place_of(line.arrived, job.sequence);
    TANDEM_ASSERT(place != line.arrived.end() && place->slot == slot, "a job is where it was put");
    place->slot = kNoSlot;
    ++line.n_left;
    skip_left(line);
  }
  --n_jobs_;
  if (--line.n_jobs > 0) return;
  // The last job takes its client with it, which must not come back ahead of its share. When nobody is left,
  // nobody waited for it, and all begin anew.
  level.turns.erase({line.clock, job.client});
  if (level.turns.empty()) {
    level.away.clear();
    level.away_in_order.clear();
    levels_used_ &= ~(1u << level_of(job));
  } else if (line.clock > level.clock) {
    level.away.emplace(job.client, line.clock);
    level.away_in_order.emplace(line.clock, job.client);
  }
  level.lines.erase(job.client);
}

void ReadyQueue::put_in_front(ReadyQueue&& other) {
  for (size_t at = 0; at < kLevels; ++at) {
    Level& level = levels_[at];
    Level& older = other.levels_[at];
    if (older.lines.empty()) continue;
    levels_used_ |= 1u << at;
    for (auto& [client, from] : older.lines) {
      Line& line = line_of(level, client);
      from.arrived.insert(from.arrived.end(), line.arrived.begin(), line.arrived.end());
      line.arrived = std::move(from.arrived);
      line.n_left += from.n_left;
      line.arrived_last = std::max(line.arrived_last, from.arrived_last);
      line.returned.merge(from.returned);
      line.dated.merge(from.dated);
      line.n_jobs += from.n_jobs;
    }
  }
  n_jobs_ += other.n_jobs_;
  other = ReadyQueue(*jobs_);
}

Slot ReadyQueue::oldest() const {
  Slot oldest = kNoSlot;
  const auto consider = [&](Slot slot) {
    if (oldest == kNoSlot || (*jobs_)[slot].sequence < (*jobs_)[oldest].sequence) oldest = slot;
  };
  for (const Level& level : levels_) {
    for (const auto& [client, line] : level.lines) {
      if (!line.arrived.empty()) consider(line.arrived.front().slot);
      if (!line.returned.empty()) consider(line.returned.begin()->second);
      if (!line.dated.empty()) consider(std::get<2>(*line.dated.begin()));
    }
  }
  return oldest;
}

}  // namespace tandem::broker
