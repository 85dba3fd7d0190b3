#include "broker/dispatcher.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

#include "shared/base/assert.h"
#include "shared/base/limits.h"
#include "shared/base/utf8.h"

namespace tandem::broker {
namespace {

// Lent in one turn and put in one message, at most. A turn holds its payloads in memory.
constexpr size_t kLendBytesPerTurn = 64u << 20;
constexpr size_t kLendBytesPerMessage = 8u << 20;

// A worker silent for so many heartbeats gets no new jobs, long before its leases run out.
constexpr int kHeartbeatsMissedMax = 3;

// Old results are swept together, not in a commit for each.
constexpr milliseconds kSweepEvery{1'000};

}  // namespace

Dispatcher::Dispatcher(const DispatcherConfig& config) : config_(config), sweep_(config.retention.count()) {}

Result<void> Dispatcher::replay(AcceptedFact fact, size_t payload_bytes) {
  if (jobs_.find(fact.id) != nullptr || sweep_.find(fact.id) != nullptr) {
    return fail(ErrorCode::kCorrupt, "fact " + std::to_string(fact.sequence) + ": job " +
                                         fact.id.to_string() + " is accepted a second time");
  }
  next_sequence_ = fact.sequence + 1;
  JobRecord record;
  record.sequence = fact.sequence;
  record.id = fact.id;
  record.client = std::move(fact.client);
  record.route = fact.route;
  record.cost = fact.cost;
  record.attempts_max = fact.attempts_max;
  record.payload_bytes = payload_bytes;
  record.accepted_ms = fact.wall_ms;
  jobs_.add(std::move(record));
  return {};
}

Result<void> Dispatcher::replay(const FinishedFact& fact) {
  const JobRecord* record = jobs_.find(fact.id);
  if (record == nullptr || record->sequence != fact.accepted) {
    return fail(ErrorCode::kCorrupt, "fact " + std::to_string(fact.sequence) + ": job " +
                                         fact.id.to_string() + " finished without being accepted before");
  }
  next_sequence_ = fact.sequence + 1;
  jobs_.erase(*record);
  sweep_.add(fact.id, {fact.accepted, fact.sequence, fact.wall_ms, fact.attempt, fact.state});
  return {};
}

void Dispatcher::start(TimePoint now) {
  started_at_ = now;
  next_sweep_ = now;
  for (const auto& [sequence, record] : jobs_.in_order()) {
    ready_.push_delayed(record.client, sequence, record.cost, now + config_.restart_grace);
  }
}

Plan Dispatcher::turn(const TurnStart& at, std::vector<Event> events) {
  Turn turn{at, {}};
  for (Event& event : events) {
    switch (event.from.door) {
      case Door::kSubmit:
        hear_at_submit(turn, event);
        break;
      case Door::kWork:
        hear_at_work(turn, event);
        break;
      case Door::kResults:
        hear_at_results(turn, event);
        break;
    }
  }
  // Time passes after everybody was heard: a heartbeat that waited for its turn still counts.
  expire(turn);
  ready_.release(at.time);
  lend(turn);
  forget(turn);
  turn.plan.wake_at = wake_at(turn);
  return std::move(turn.plan);
}

void Dispatcher::hear_at_submit(Turn& turn, Event& event) {
  std::visit(
      [&](auto& message) {
        using M = std::decay_t<decltype(message)>;
        if constexpr (std::is_same_v<M, Submit> || std::is_same_v<M, Fetch> || std::is_same_v<M, Cancel> ||
                      std::is_same_v<M, Status>) {
          hear(turn, event.from, std::move(message));
        } else {
          refuse(turn, event.from, 0, event.message);
        }
      },
      event.message);
}

void Dispatcher::hear_at_work(Turn& turn, Event& event) {
  if (const auto* hello = std::get_if<Hello>(&event.message)) return hear(turn, event.from, *hello);
  Worker* worker = workers_.by_peer(event.from.peer);
  if (worker == nullptr) {
    if (!std::holds_alternative<Goodbye>(event.message)) turn.say(event.from, WhoAreYou{});
    return;
  }
  worker->heard_at = turn.at.time;
  std::visit(
      [&](auto& message) {
        using M = std::decay_t<decltype(message)>;
        if constexpr (std::is_same_v<M, Ready> || std::is_same_v<M, Heartbeat> ||
                      std::is_same_v<M, Goodbye>) {
          hear(turn, *worker, message);
        } else {
          ++counters_.misplaced;
        }
      },
      event.message);
}

void Dispatcher::hear_at_results(Turn& turn, Event& event) {
  std::visit(
      [&](auto& message) {
        using M = std::decay_t<decltype(message)>;
        if constexpr (std::is_same_v<M, ResultMessage> || std::is_same_v<M, Partial>) {
          if (Worker* worker = workers_.by_name(message.worker)) worker->heard_at = turn.at.time;
          hear(turn, std::move(message));
        } else {
          ++counters_.misplaced;
        }
      },
      event.message);
}

void Dispatcher::grant(Turn& turn, JobRecord& record, Worker& worker, uint32_t attempt) {
  leases_.grant(record.sequence, worker.name, attempt, turn.at.time + config_.lease);
  record.state = JobState::kLeased;
  record.attempt = std::max(record.attempt, attempt);
  ++worker.leased;
}

void Dispatcher::end_lease(JobRecord& record) {
  if (Worker* worker = workers_.by_name(leases_.find(record.sequence)->worker)) --worker->leased;
  leases_.end(record.sequence);
  record.state = JobState::kReady;
}

// The job's lease brought nothing: back into the queue, unless that was its last chance.
void Dispatcher::give_back(Turn& turn, JobRecord& record, const std::string& reason, milliseconds delay) {
  end_lease(record);
  const uint32_t n_attempts = record.attempt - record.excused;
  if (n_attempts >= record.attempts_max) {
    FinishedFact outcome;
    outcome.attempt = record.attempt;
    outcome.state = JobState::kFailed;
    std::string text = "given up after " + std::to_string(n_attempts) + " attempts; the last: " + reason;
    text.resize(std::min(text.size(), limits::kErrorTextBytesMax));
    text.resize(utf8_valid_prefix(text));
    outcome.error = {ErrorCode::kAttempts, std::move(text)};
    return finish(turn, record, std::move(outcome));
  }
  if (delay > milliseconds(0)) {
    ready_.push_delayed(record.client, record.sequence, record.cost, turn.at.time + delay);
  } else {
    ready_.push(record.client, record.sequence, record.cost);
  }
}

// The one outcome of a job that is neither leased nor in the ready queue any more.
void Dispatcher::finish(Turn& turn, JobRecord& record, FinishedFact outcome) {
  outcome.sequence = next_sequence_++;
  outcome.accepted = record.sequence;
  outcome.id = record.id;
  outcome.wall_ms = turn.at.wall_ms;
  ++counters_.finished;
  if (outcome.state == JobState::kFailed) ++counters_.failed;

  sweep_.add(record.id,
             {outcome.accepted, outcome.sequence, outcome.wall_ms, outcome.attempt, outcome.state});
  turn.plan.outcomes[{record.client, outcome.worker}].push_back(turn.plan.facts.finished.size());
  turn.plan.facts.finished.push_back(std::move(outcome));
  jobs_.erase(record);
}

void Dispatcher::expire(Turn& turn) {
  for (const Sequence sequence : leases_.expired(turn.at.time)) {
    const std::string reason = "worker '" + leases_.find(sequence)->worker + "' did not renew its lease";
    give_back(turn, jobs_.at(sequence), reason, milliseconds(0));
  }
  for (const std::string& name : workers_.silent_since(turn.at.time - config_.lease)) {
    turn.plan.partings.push_back({name, true});
    workers_.forget(name);
  }
}

void Dispatcher::lend(Turn& turn) {
  struct Basket {
    Job job;
    std::vector<Sequence> bodies;
    size_t n_bytes = 0;
  };
  std::map<std::string, Basket> baskets;  // by connection
  const auto send_off = [&](const std::string& peer, Basket& basket) {
    turn.plan.speeches.push_back({{Door::kWork, peer}, std::move(basket.job), std::move(basket.bodies)});
    basket = Basket{};
  };

  const TimePoint heard_after = turn.at.time - kHeartbeatsMissedMax * config_.heartbeat;
  size_t n_bytes = 0;
  lent_to_the_limit_ = false;
  while (!ready_.empty()) {
    Worker* worker = workers_.freest(heard_after);
    if (worker == nullptr) break;
    if (n_bytes >= kLendBytesPerTurn) {
      lent_to_the_limit_ = true;
      break;
    }
    JobRecord& record = jobs_.at(*ready_.pop());
    if (record.attempt > 0) ++counters_.redelivered;
    grant(turn, record, *worker, record.attempt + 1);
    n_bytes += record.payload_bytes;

    Basket& basket = baskets[worker->peer];
    const bool is_full = basket.n_bytes + record.payload_bytes > kLendBytesPerMessage ||
                         basket.job.items.size() == limits::kItemsPerMessageMax;
    if (is_full && !basket.job.items.empty()) send_off(worker->peer, basket);
    basket.job.lease_ms = static_cast<uint32_t>(config_.lease.count());
    basket.job.items.push_back({record.id, record.attempt, {}});
    basket.bodies.push_back(record.sequence);
    basket.n_bytes += record.payload_bytes;
  }
  for (auto& [peer, basket] : baskets) send_off(peer, basket);
}

void Dispatcher::forget(Turn& turn) {
  if (turn.at.time < next_sweep_) return;
  auto forgotten = sweep_.take_due(turn.at.wall_ms, config_.sweep_jobs_max);
  const bool is_all = forgotten.size() < 2 * config_.sweep_jobs_max;
  next_sweep_ = is_all ? turn.at.time + kSweepEvery : turn.at.time;
  turn.plan.facts.forgotten = std::move(forgotten);
}

TimePoint Dispatcher::wake_at(const Turn& turn) const {
  const TimePoint now = turn.at.time;
  if (lent_to_the_limit_) return now;
  TimePoint wake = now + std::chrono::hours(1);
  if (const auto deadline = leases_.next_deadline()) wake = std::min(wake, *deadline);
  if (const auto release = ready_.next_release()) wake = std::min(wake, *release);
  if (const auto due_ms = sweep_.next_due_ms()) {
    const TimePoint due = now + milliseconds(std::clamp<int64_t>(*due_ms - turn.at.wall_ms, 0, 3'600'000));
    wake = std::min(wake, std::max(due, next_sweep_));
  }
  return std::max(wake, now);
}

}  // namespace tandem::broker
