#include "broker/dispatcher.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <variant>

#include "shared/base/assert.h"
#include "shared/base/limits.h"
#include "shared/base/utf8.h"
#include "shared/protocol/frames.h"

namespace tandem::broker {
namespace {

// Jobs, workers and clients that one turn looks at to answer questions; some milliseconds.
constexpr size_t kLookedAtPerTurn = 100'000;

// What changes nothing and costs time.
bool is_question(const Message& message) {
  return std::holds_alternative<Status>(message) || std::holds_alternative<List>(message) ||
         std::holds_alternative<Inspect>(message) || std::holds_alternative<Fetch>(message) ||
         std::holds_alternative<Collect>(message);
}

}  // namespace

Dispatcher::Dispatcher(const DispatcherConfig& config)
    : config_(config),
      jobs_(config.hash_seed),
      clients_(config.limits),
      leases_(jobs_, workers_, config.lease),
      ready_(jobs_),
      recovered_(jobs_),
      alone_(jobs_),
      flights_(jobs_),
      finished_(jobs_, config.retention.count()) {}

Plan Dispatcher::turn(const TurnStart& at, std::vector<Event> events) {
  Turn turn;
  turn.at = at;
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
  pass_time(turn);
  lend(turn);
  recall(turn);
  forget_old(turn);
  turn.plan.wake_at = wake_at(turn);
  return std::move(turn.plan);
}

void Dispatcher::hear_at_submit(Turn& turn, Event& event) {
  if (turn.n_looked_at >= kLookedAtPerTurn && is_question(event.message)) {
    turn.plan.unheard.push_back(std::move(event));
    return;
  }
  turn.only_client = std::move(event.only_client);
  std::visit(
      [&](auto& message) {
        using M = std::decay_t<decltype(message)>;
        if constexpr (!std::is_same_v<M, Hello> &&
                      requires { this->hear(turn, event.from, std::move(message)); }) {
          return this->hear(turn, event.from, std::move(message));
        }
        ++counters_.misplaced;
        turn.say(event.from, Refused{0,
                                     {ErrorCode::kInvalid, "expected a message of clients, found " +
                                                               std::string(kind_name(event.message))}});
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
        if constexpr (requires { this->hear(turn, *worker, message); }) {
          this->hear(turn, *worker, message);
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

Slot Dispatcher::find(const Turn& turn, const JobId& id) const {
  const Slot job = jobs_.find(id);
  if (job == kNoSlot || turn.only_client.empty()) return job;
  return clients_[jobs_[job].client].name == turn.only_client ? job : kNoSlot;
}

ReadyQueue& Dispatcher::queue_of(Slot job) {
  if (jobs_[job].goes_alone()) return alone_;
  return in_grace_ && jobs_[job].sequence <= last_replayed_ ? recovered_ : ready_;
}

void Dispatcher::enqueue(Slot job) {
  if (flights_.lead_or_join(job)) return queue_of(job).push(job);
  ++counters_.joined;
  // Whoever waits for a job lends it its urgency; and a client with few jobs does not wait in the line of one
  // with many because it asks the same.
  const Slot leader = flights_.leader_of(job);
  raise(leader, jobs_[job]);
  if (jobs_[leader].waits != Waits::kTurn || jobs_[leader].attempt > 0) return;
  const Client& own = clients_[jobs_[job].client];
  const Client& other = clients_[jobs_[leader].client];
  if (own.n_unfinished >= other.n_unfinished) return;
  raise(job, jobs_[leader]);
  queue_of(leader).remove(leader);
  flights_.take_over(job);
  queue_of(job).push(job);
}

void Dispatcher::raise(Slot job, const JobRecord& to) {
  JobRecord& record = jobs_[job];
  if (std::pair(to.urgency, to.priority) <= std::pair(record.urgency, record.priority)) return;
  const bool is_queued = record.waits == Waits::kTurn;
  if (is_queued) queue_of(job).remove(job);
  record.urgency = to.urgency;
  record.priority = to.priority;
  if (is_queued) queue_of(job).push(job);
}

void Dispatcher::delay(Slot job, TimePoint until) {
  jobs_[job].waits = Waits::kTime;
  jobs_[job].set_until(until);
  starts_.add(until, jobs_.ticket(job));
  ++n_delayed_;
}

void Dispatcher::detach(Slot job) {
  switch (jobs_[job].waits) {
    case Waits::kNothing:
      break;
    case Waits::kTurn:
      queue_of(job).remove(job);
      break;
    case Waits::kTime:
      jobs_[job].waits = Waits::kNothing;
      --n_delayed_;
      break;
    case Waits::kTwin:
      flights_.leave(job);
      break;
  }
}

// The job's lease brought nothing: back into the queue, unless that was its last chance.
void Dispatcher::give_back(Turn& turn, Slot job, const std::string& reason, milliseconds pause) {
  leases_.end(job);
  const JobRecord& record = jobs_[job];
  if (record.tries >= record.attempts_max) {
    FinishedFact outcome;
    outcome.attempt = record.attempt;
    outcome.state = JobState::kDead;
    std::string text = "given up after " + std::to_string(record.tries) +
                       (record.tries == 1 ? " attempt; the last: " : " attempts; the last: ") + reason;
    text.resize(std::min(text.size(), limits::kErrorTextBytesMax));
    text.resize(utf8_valid_prefix(text));
    outcome.error = {ErrorCode::kAttempts, std::move(text)};
    return finish(turn, job, std::move(outcome));
  }
  if (pause > milliseconds(0)) {
    delay(job, turn.at.time + pause);
  } else {
    enqueue(job);
  }
}

void Dispatcher::call_off(Turn& turn, Slot job) {
  if (const Worker* holder = leases_.holder(job)) {
    turn.say({Door::kWork, holder->peer}, Cancel{0, {jobs_[job].id}});
    leases_.end(job);
  } else {
    detach(job);
  }
}

// The outcome of a job that is neither leased nor waits any more; and of those that waited for it,
// `n_twins_max` at most, as far as it is theirs, too. The others go on: one of them leads.
void Dispatcher::finish(Turn& turn, Slot job, FinishedFact outcome, size_t n_twins_max) {
  const bool is_answer = outcome.state == JobState::kDone || outcome.state == JobState::kFailed;
  if (is_answer) {
    for (const Slot twin : flights_.land(job, n_twins_max)) finish_one(turn, twin, outcome);
  } else if (outcome.state == JobState::kDead) {
    die_with(turn, job, outcome);
  }
  const Slot next = flights_.hand_over(job, [&](Slot a, Slot b) { return comes_before(a, b); });
  if (next != kNoSlot) {
    raise(next, jobs_[job]);  // to what those that still wait lend
    queue_of(next).push(next);
  }
  finish_one(turn, job, std::move(outcome));
}

// Its attempts were for the payload of those that wait for it, too.
void Dispatcher::die_with(Turn& turn, Slot job, const FinishedFact& outcome) {
  const uint8_t n_tries = jobs_[job].tries;
  for (const Slot twin : flights_.land(job)) {
    JobRecord& record = jobs_[twin];
    if (record.attempts_max <= n_tries) {
      finish_one(turn, twin, outcome);
      continue;
    }
    if (record.tries < n_tries) {
      record.attempt += n_tries - record.tries;
      record.add_tries(n_tries - record.tries);
    }
    enqueue(twin);
  }
}

// More urgent, or of a client with fewer jobs, which does not wait in the line of one with many because it
// asks the same.
bool Dispatcher::comes_before(Slot a, Slot b) const {
  const auto level = [&](Slot job) { return std::pair(jobs_[job].urgency, jobs_[job].priority); };
  if (level(a) != level(b)) return level(a) > level(b);
  return clients_[jobs_[a].client].n_unfinished < clients_[jobs_[b].client].n_unfinished;
}

void Dispatcher::finish_one(Turn& turn, Slot job, FinishedFact outcome) {
  JobRecord& record = jobs_[job];
  outcome.sequence = next_sequence_++;
  outcome.accepted = record.sequence;
  outcome.id = record.id;
  outcome.wall_ms = turn.at.wall_ms;
  record.state = outcome.state;
  record.set_finished(outcome.sequence, outcome.wall_ms, outcome.payload.size());
  record.attempt = outcome.attempt;

  ++counters_.finished;
  if (outcome.state == JobState::kDone) {
    counters_.total_ms.add(turn.at.wall_ms - record.accepted_ms);
  } else {
    ++counters_.failed;
    if (outcome.state == JobState::kDead) ++counters_.dead;
    if (outcome.state == JobState::kExpired) ++counters_.expired;
    if (outcome.state == JobState::kCancelled) ++counters_.cancelled;
  }

  keep(job);
  const Client& client = clients_[record.client];
  std::vector<OutcomeGroup>& groups = turn.plan.outcomes;
  // One message a client, whoever the workers are: a thousand workers would fill its queue with messages.
  const auto [group, is_new] = turn.groups.try_emplace(record.client, groups.size());
  if (is_new) groups.push_back({client.name, outcome.worker, {}});
  if (groups[group->second].worker != outcome.worker) groups[group->second].worker.clear();
  groups[group->second].places.push_back(turn.plan.facts.finished.size());
  turn.plan.facts.finished.push_back(std::move(outcome));
}

// The job has its outcome, which waits for its client.
void Dispatcher::keep(Slot job) {
  const JobRecord& record = jobs_[job];
  Client& client = clients_[record.client];
  --client.n_unfinished;
  client.unfinished_bytes -= record.payload_bytes;
  ++client.n_kept;
  client.unacknowledged.push_back(jobs_, job);
  client.unacknowledged_bytes += record.kept_bytes();
  finished_.add(job);
}

void Dispatcher::set_acknowledged(Slot job) {
  JobRecord& record = jobs_[job];
  if (record.is_acknowledged) return;
  record.is_acknowledged = true;
  Client& client = clients_[record.client];
  client.unacknowledged.remove(jobs_, job);
  client.unacknowledged_bytes -= record.kept_bytes();
}

// Both facts of a finished job go.
void Dispatcher::forget(Turn& turn, Slot job) {
  const JobRecord& record = jobs_[job];
  turn.plan.facts.forgotten.push_back(record.sequence);
  turn.plan.facts.forgotten.push_back(record.finished());
  const uint32_t number = record.client;
  set_acknowledged(job);
  --clients_[number].n_kept;
  finished_.remove(job);
  jobs_.erase(job);
  clients_.release(number, turn.at.time);
}

uint64_t Dispatcher::oldest_ready_ms(int64_t wall_ms) const {
  int64_t oldest = wall_ms;
  for (const ReadyQueue* queue : {&ready_, &recovered_, &alone_}) {
    if (const Slot job = queue->oldest(); job != kNoSlot) oldest = std::min(oldest, jobs_[job].accepted_ms);
  }
  return static_cast<uint64_t>(wall_ms - oldest);
}

}  // namespace tandem::broker
