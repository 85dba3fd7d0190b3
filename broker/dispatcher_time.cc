// What happens because time passes: leases run out, jobs start and expire, jobs are lent, called back,
// forgotten.

#include <algorithm>
#include <utility>

#include "broker/dispatcher.h"
#include "shared/base/limits.h"

namespace tandem::broker {
namespace {

// Lent in one turn and put in one message, at most. A turn holds its payloads in memory.
constexpr size_t kLendBytesPerTurn = 64u << 20;
constexpr size_t kLendBytesPerMessage = 8u << 20;

// A worker silent for so many heartbeats gets no new jobs, long before its leases run out.
constexpr int kHeartbeatsMissedMax = 3;

// Old results are swept together, and arrivals in the outcome's mailbox noted together, not in a commit for
// each.
constexpr milliseconds kSweepEvery{1'000};
constexpr milliseconds kAcknowledgeWithin{1'000};
// Above this share of use, results that have arrived are forgotten before their time.
constexpr double kRoomIsShort = 0.5;

// How often it is looked whether a worker has nothing to do while another has more than it can begin, and how
// long a worker has had a job when it is asked for it.
constexpr milliseconds kRecallEvery{50};
constexpr milliseconds kRecallAfter{100};

}  // namespace

void Dispatcher::pass_time(Turn& turn) {
  const TimePoint now = turn.at.time;
  for (const Slot job : leases_.expired(now)) {
    lose(turn, job, "worker '" + leases_.holder(job)->name + "' did not renew its lease");
  }
  for (const std::string& name : workers_.silent_for(config_.lease, now)) {
    turn.plan.partings.push_back({name, true});
    workers_.forget(name);
  }
  while (const auto ticket = expiries_.take(now)) {
    const Slot job = ticket->slot;
    if (!jobs_.is_same(*ticket) || is_finished(jobs_[job].state)) continue;
    call_off(turn, job);
    FinishedFact outcome;
    outcome.attempt = jobs_[job].attempt;
    outcome.state = JobState::kExpired;
    outcome.error = {ErrorCode::kExpired, "its time to live was over before it was done"};
    finish(turn, job, std::move(outcome));
  }
  while (const auto ticket = starts_.take(now)) {
    const Slot job = ticket->slot;
    if (!jobs_.is_same(*ticket) || jobs_[job].waits != Waits::kTime || jobs_[job].until() > now) continue;
    detach(job);
    enqueue(job);
  }
  if (in_grace_ && now >= started_at_ + config_.restart_grace) {
    in_grace_ = false;
    ready_.put_in_front(std::move(recovered_));
  }
}

void Dispatcher::lend(Turn& turn) {
  lent_to_the_limit_ = false;
  if (!turn.at.may_lend) return;
  struct Basket {
    Job job;
    std::vector<Sequence> bodies;
    size_t n_bytes = 0;
  };
  std::unordered_map<uint32_t, Basket> baskets;  // by worker
  const auto send_off = [&](uint32_t worker, Basket& basket) {
    turn.plan.speeches.push_back(
        {{Door::kWork, workers_[worker].peer}, std::move(basket.job), std::move(basket.bodies)});
    basket = Basket{};
  };

  const TimePoint heard_after = turn.at.time - kHeartbeatsMissedMax * config_.heartbeat;
  size_t n_bytes = 0;
  const auto give = [&](Slot slot, Worker& worker) {
    JobRecord& record = jobs_[slot];
    if (record.attempt > 0) {
      ++counters_.redelivered;
    } else {
      counters_.ready_ms.add(turn.at.wall_ms - record.accepted_ms);
    }
    leases_.grant(slot, worker, record.attempt + 1, turn.at.time);
    n_bytes += record.payload_bytes;

    Basket& basket = baskets[worker.number];
    const bool is_full = basket.n_bytes + record.payload_bytes > kLendBytesPerMessage ||
                         basket.job.items.size() == limits::kItemsPerMessageMax;
    if (is_full && !basket.job.items.empty()) send_off(worker.number, basket);
    basket.job.lease_ms = static_cast<uint32_t>(config_.lease.count());
    JobItem item;
    item.id = record.id;
    item.attempt = record.attempt;
    item.urgency = record.urgency;
    // A job whose time is over is not here any more, so if it seems to be, the wall clock was set forward:
    // then the worker is told of no limit, and is called off when the time has come.
    if (record.expires_ms > turn.at.wall_ms) {
      item.ttl_ms = static_cast<uint64_t>(record.left_ms(record.expires_ms, turn.at.wall_ms));
    }
    basket.job.items.push_back(std::move(item));
    basket.bodies.push_back(record.sequence);
    basket.n_bytes += record.payload_bytes;
  };

  lend_alone(heard_after, give);
  for (Slot slot = ready_.peek(); slot != kNoSlot; slot = ready_.peek()) {
    if (n_bytes >= kLendBytesPerTurn) {
      lent_to_the_limit_ = true;
      break;
    }
    JobRecord& record = jobs_[slot];
    Worker* worker = workers_.pick(record.route, record.cost, record.urgency, heard_after);
    if (worker == nullptr) break;
    ready_.pop();
    // Replayed jobs have not looked for their like yet. One that waits behind this one need not wait longer.
    if (record.sequence <= last_replayed_ && !flights_.lead_or_join(slot)) {
      ++counters_.joined;
      const Slot leader = flights_.leader_of(slot);
      if (jobs_[leader].waits != Waits::kTurn) {
        raise(leader, record);
        continue;
      }
      queue_of(leader).remove(leader);
      flights_.take_over(slot);
    }
    give(slot, *worker);
  }
  for (auto& [worker, basket] : baskets) send_off(worker, basket);
}

// A job that goes out alone is given to a worker without jobs, which gets no other until it has come back
// from this one. So a job that kills its workers takes nobody else's attempts, and one that only was there is
// done. When all workers have jobs, the one with the fewest is kept free until it has none.
void Dispatcher::lend_alone(TimePoint heard_after, const std::function<void(Slot, Worker&)>& give) {
  if (alone_.empty() && !keeps_workers_free_) return;
  keeps_workers_free_ = false;
  Worker* next = nullptr;
  for (const auto& [name, number] : workers_.all()) {
    Worker& worker = workers_[number];
    const bool may_have_jobs = worker.credit_max > 0 && !worker.is_draining && worker.heard_at > heard_after;
    if (worker.is_kept_free && (worker.leases.empty() || !may_have_jobs)) workers_.keep_free(worker, false);
    if (may_have_jobs && worker.leases.empty() && !alone_.empty()) {
      const Slot job = alone_.peek();
      alone_.pop();
      workers_.keep_free(worker, true);
      give(job, worker);
    }
    keeps_workers_free_ |= worker.is_kept_free;
    if (may_have_jobs && (next == nullptr || worker.leases.size() < next->leases.size())) next = &worker;
  }
  if (alone_.empty() || keeps_workers_free_ || next == nullptr) return;
  workers_.keep_free(*next, true);
  keeps_workers_free_ = true;
}

// A worker without jobs, none in the queue, and a worker with several: half of those that came to it last may
// be had back, as far as it has not begun them. Only it knows whether it has any; so those with several are
// asked in turn.
void Dispatcher::recall(Turn& turn) {
  if (!ready_.empty() || leases_.size() < 2 || turn.at.time < next_recall_) return;
  next_recall_ = turn.at.time + kRecallEvery;
  const TimePoint heard_after = turn.at.time - kHeartbeatsMissedMax * config_.heartbeat;
  bool is_idle = false;
  Worker* asked = nullptr;
  const auto is_before = [](const Worker& a, const Worker& b) {
    return a.recalled_at != b.recalled_at ? a.recalled_at < b.recalled_at : a.leases.size() > b.leases.size();
  };
  for (const auto& [name, number] : workers_.all()) {
    Worker& worker = workers_[number];
    if (worker.leases.empty()) {
      is_idle |= worker.has_room(Urgency::kBulk, 1) && worker.heard_at > heard_after;
    } else if (worker.leases.size() > 1 && turn.at.time - worker.recalled_at >= config_.heartbeat / 4) {
      if (asked == nullptr || is_before(worker, *asked)) asked = &worker;
    }
  }
  if (!is_idle || asked == nullptr) return;
  asked->recalled_at = turn.at.time;
  // Heartbeats change the order of the leases, so it does not tell which came last.
  std::vector<Slot> newest = leases_.of_worker(*asked);
  const auto came_later = [&](Slot a, Slot b) {
    return std::pair(jobs_[a].leased_at(), jobs_[a].sequence) >
           std::pair(jobs_[b].leased_at(), jobs_[b].sequence);
  };
  std::sort(newest.begin(), newest.end(), came_later);
  newest.resize(std::min(newest.size() / 2, limits::kItemsPerMessageMax));
  Recall message;
  for (const Slot job : newest) {
    if (turn.at.time - jobs_[job].leased_at() >= kRecallAfter) message.ids.push_back(jobs_[job].id);
  }
  if (!message.ids.empty()) turn.say({Door::kWork, asked->peer}, std::move(message));
}

void Dispatcher::forget_old(Turn& turn) {
  const TimePoint now = turn.at.time;
  if (now >= next_sweep_) {
    jobs_.tidy();
    starts_.tidy(
        [&](JobTable::Ticket job) { return jobs_.is_same(job) && jobs_[job.slot].waits == Waits::kTime; });
    expiries_.tidy(
        [&](JobTable::Ticket job) { return jobs_.is_same(job) && !is_finished(jobs_[job.slot].state); });
    const auto& fresh = turn.plan.facts.finished;
    const bool is_short = static_cast<double>(turn.at.journal_bytes) >
                          kRoomIsShort * static_cast<double>(turn.at.journal_bytes_max);
    const std::vector<Slot> due =
        finished_.due(turn.at.wall_ms, config_.sweep_jobs_max,
                      fresh.empty() ? next_sequence_ : fresh.front().sequence, is_short);
    next_sweep_ = due.size() < config_.sweep_jobs_max ? now + kSweepEvery : now;
    for (const Slot job : due) forget(turn, job);
  }
  if (acknowledged_.empty()) return;
  const bool may_wait = !turn.at.is_last && now < acknowledged_since_ + kAcknowledgeWithin;
  if (turn.plan.facts.empty() && may_wait) return;
  for (const Sequence finished : acknowledged_) {
    if (finished_.find(finished) != kNoSlot) turn.plan.facts.acknowledged.push_back(finished);
  }
  acknowledged_.clear();
}

TimePoint Dispatcher::wake_at(const Turn& turn) {
  const TimePoint now = turn.at.time;
  if (lent_to_the_limit_) return now;
  TimePoint wake = now + std::chrono::hours(1);
  const auto consider = [&](std::optional<TimePoint> time) {
    if (time) wake = std::min(wake, *time);
  };
  consider(leases_.earliest_end());
  consider(starts_.next());
  consider(expiries_.next());
  if (in_grace_ && !recovered_.empty()) consider(started_at_ + config_.restart_grace);
  if (!acknowledged_.empty()) consider(acknowledged_since_ + kAcknowledgeWithin);
  if (workers_.size() > 1 && leases_.size() > 1 && ready_.empty()) consider(now + kRecallEvery);
  if (const auto due_ms = finished_.next_due_ms()) {
    const TimePoint due = now + milliseconds(std::clamp<int64_t>(*due_ms - turn.at.wall_ms, 0, 3'600'000));
    consider(std::max(due, next_sweep_));
  }
  return std::max(wake, now);
}

}  // namespace tandem::broker
