// Decides everything about jobs, leases and workers. Pure: events and time in, plan out; no socket, disk,
// clock or log. The same events at the same times give the same plans, which is how it is tested.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/client_table.h"
#include "broker/finished_jobs.h"
#include "broker/flights.h"
#include "broker/journal.h"
#include "broker/latency.h"
#include "broker/leases.h"
#include "broker/plan.h"
#include "broker/ready_queue.h"
#include "broker/timers.h"
#include "broker/worker_table.h"
#include "shared/base/result.h"

namespace tandem::broker {

struct DispatcherConfig {
  milliseconds lease{10'000};     // a worker that is silent for so long has lost its jobs
  milliseconds heartbeat{2'000};  // how often workers renew
  uint32_t attempts_max = 5;      // leases of a job that does not say otherwise
  milliseconds backoff{500};      // before a failed attempt's next one; doubles with every attempt
  milliseconds backoff_max{60'000};
  // After a restart, replayed jobs wait so long for the workers that still hold them to come back.
  milliseconds restart_grace{3'000};
  milliseconds retention{std::chrono::hours(24)};  // finished jobs are kept so long
  size_t sweep_jobs_max = 1'000;                   // finished jobs forgotten in one turn
  ClientLimits limits;
  uint64_t hash_seed = 0;  // of payloads and ids: the journal's
};

// Since the broker started.
struct DispatcherCounters {
  uint64_t accepted = 0;
  uint64_t refused = 0;                           // jobs that were not accepted
  uint64_t finished = 0;                          // with any outcome
  uint64_t failed = 0;                            // of those, without a result
  uint64_t dead = 0, expired = 0, cancelled = 0;  // of those
  uint64_t joined = 0;                            // jobs that waited for an equal one
  uint64_t redelivered = 0;                       // leases after a job's first
  uint64_t leases_lost = 0;                       // ran out, or were missing when their worker came back
  uint64_t returned = 0;                          // jobs that were recalled and came back
  uint64_t without_room = 0;                      // results that the journal had no room for
  uint64_t late_results = 0;                      // for jobs that are over, unknown, or not lent
  uint64_t misplaced = 0;                         // messages that have no business at the door they came to
  Latency ready_ms;                               // accepted to first leased
  Latency leased_ms;                              // leased to finished, of the lease that brought the result
  Latency total_ms;                               // accepted to done
};

// One thread. First replay() every fact in order, then start(), then turn() for ever.
class Dispatcher {
 public:
  explicit Dispatcher(const DispatcherConfig& config);
  Dispatcher(const Dispatcher&) = delete;  // its parts know each other
  Dispatcher& operator=(const Dispatcher&) = delete;

  // kCorrupt if the fact contradicts the facts before it, which no journal of ours can do.
  Result<void> replay(const AcceptedFact& fact, size_t payload_bytes);
  Result<void> replay(const FinishedFact& fact, size_t payload_bytes);
  void replay_acknowledged(Sequence finished);  // after all facts
  void start(TimePoint now, int64_t wall_ms);

  // Hears `events` in order, then lets time pass: leases run out, jobs are lent, old results forgotten.
  Plan turn(const TurnStart& at, std::vector<Event> events);

  bool is_unfinished(const JobId& id, Sequence accepted) const {
    const Slot job = jobs_.find(id);
    return job != kNoSlot && jobs_[job].sequence == accepted && !is_finished(jobs_[job].state);
  }

  // For logs and metrics.
  const DispatcherCounters& counters() const { return counters_; }
  size_t n_ready() const { return ready_.size() + recovered_.size() + alone_.size(); }
  size_t n_alone() const { return alone_.size(); }          // of those
  size_t n_joined() const { return flights_.n_waiting(); }  // besides: they wait for an equal one
  size_t n_delayed() const { return n_delayed_; }
  size_t n_leased() const { return leases_.size(); }
  size_t n_unfinished() const { return jobs_.size() - finished_.size(); }
  size_t n_finished_kept() const { return finished_.size(); }
  size_t n_dead_kept() const { return finished_.dead().size(); }
  const WorkerTable& workers() const { return workers_; }
  size_t n_clients() const { return clients_.all().size(); }
  // How long the job that waits longest has waited; 0 if none waits. Looks at every client.
  uint64_t oldest_ready_ms(int64_t wall_ms) const;

 private:
  struct Turn {  // the one being decided
    TurnStart at;
    Plan plan;
    std::unordered_map<uint32_t, size_t> groups;  // in plan.outcomes, by client
    size_t n_looked_at = 0;                       // jobs, workers and clients, for questions
    size_t n_twin_parts = 0;                      // passed on to those that wait for an equal job
    std::string only_client;  // of the event that is heard: no other client's jobs exist for its sender
    void say(const Address& to, Message message) { plan.speeches.push_back({to, std::move(message), {}}); }
  };

  // Clients: dispatcher_clients.cc.
  void hear(Turn& turn, const Address& from, Submit message);
  void hear(Turn& turn, const Address& from, const Fetch& message);
  void hear(Turn& turn, const Address& from, const Collect& message);
  void hear(Turn& turn, const Address& from, const Acknowledge& message);
  void hear(Turn& turn, const Address& from, const Cancel& message);
  AcceptedItem accept(Turn& turn, std::string_view client, SubmitItem& item);

  // People who look after the queue: dispatcher_admin.cc.
  void hear(Turn& turn, const Address& from, const Status& message);
  void hear(Turn& turn, const Address& from, const List& message);
  void hear(Turn& turn, const Address& from, const Inspect& message);
  void hear(Turn& turn, const Address& from, const Revive& message);
  void hear(Turn& turn, const Address& from, const Forget& message);
  void hear(Turn& turn, const Address& from, const Drain& message);
  JobStatus status_of(const Turn& turn, Slot job);
  AcceptedItem revive(Turn& turn, Slot job);
  // The job, if it exists for whoever asks.
  Slot find(const Turn& turn, const JobId& id) const;
  // The answer to an item for which nothing was done.
  static AcceptedItem refused(const JobId& id, ErrorCode code, std::string text,
                              uint32_t retry_after_ms = 0) {
    return {id, JobState::kUnknown, {code, std::move(text)}, retry_after_ms};
  }
  // Does `act(job)` for each id of the message that names a job, and answers with what each came to.
  template <typename M, typename Act>
  void answer_each(Turn& turn, const Address& from, const M& message, Act&& act) {
    Accepted answer{message.request, {}};
    for (const JobId& id : message.ids) {
      const Slot job = find(turn, id);
      answer.items.push_back(job == kNoSlot ? refused(id, ErrorCode::kNotFound, "no job of that id")
                                            : act(job));
    }
    turn.say(from, std::move(answer));
  }

  // Workers: dispatcher_workers.cc.
  void hear(Turn& turn, const Address& from, const Hello& message);
  void hear(Turn& turn, Worker& worker, const Ready& message);
  void hear(Turn& turn, Worker& worker, const Heartbeat& message);
  void hear(Turn& turn, Worker& worker, const Goodbye& message);
  void hear(Turn& turn, Worker& worker, const Returned& message);
  void hear(Turn& turn, ResultMessage message);
  void hear(Turn& turn, Partial message);
  void hear_result(Turn& turn, const std::string& worker_name, Worker* worker, ResultItem& item);
  void hear_held(Turn& turn, Worker& worker, const std::vector<HeldLease>& held);
  // Whether anybody can have been lent the job, which is unfinished, under this number.
  bool may_be_lent(Slot job, uint32_t attempt) const;

  // The life of a job: dispatcher.cc.
  void hear_at_submit(Turn& turn, Event& event);
  void hear_at_work(Turn& turn, Event& event);
  void hear_at_results(Turn& turn, Event& event);
  void enqueue(Slot job);  // the job waits for nothing: into the queue, or it joins an equal one
  void raise(Slot job, const JobRecord& to);  // to that one's urgency and priority, if they are higher
  void delay(Slot job, TimePoint until);
  void detach(Slot job);  // the job is ready: afterwards it waits for nothing
  void give_back(Turn& turn, Slot job, const std::string& reason, milliseconds pause);
  void lose(Turn& turn, Slot job, const std::string& reason);
  void call_off(Turn& turn, Slot job);  // takes an unfinished job out of wherever it is; its worker is told
  void finish(Turn& turn, Slot job, FinishedFact outcome, size_t n_twins_max = SIZE_MAX);
  void die_with(Turn& turn, Slot job, const FinishedFact& outcome);
  bool comes_before(Slot a, Slot b) const;
  void finish_one(Turn& turn, Slot job, FinishedFact outcome);
  void keep(Slot job);
  void set_acknowledged(Slot job);
  void forget(Turn& turn, Slot job);
  ReadyQueue& queue_of(Slot job);

  // What time brings: dispatcher_time.cc.
  void pass_time(Turn& turn);
  void lend(Turn& turn);
  void lend_alone(TimePoint heard_after, const std::function<void(Slot, Worker&)>& give);
  void recall(Turn& turn);
  void forget_old(Turn& turn);
  TimePoint wake_at(const Turn& turn);

  const DispatcherConfig config_;
  Sequence next_sequence_ = 1;
  JobTable jobs_;
  ClientTable clients_;
  WorkerTable workers_;
  Leases leases_;
  ReadyQueue ready_;
  ReadyQueue recovered_;  // replayed jobs, while their workers may still come back
  ReadyQueue alone_;      // those that go out alone
  Flights flights_;
  FinishedJobs finished_;
  Timers starts_, expiries_;
  size_t n_delayed_ = 0;
  Sequence last_replayed_ = 0;
  bool in_grace_ = false;
  TimePoint started_at_;
  TimePoint next_sweep_;
  TimePoint next_recall_;
  std::vector<Sequence> acknowledged_;  // to be written down with the next commit
  TimePoint acknowledged_since_;
  bool keeps_workers_free_ = false;
  bool lent_to_the_limit_ = false;  // more could be lent, in the next turn
  DispatcherCounters counters_;
};

// Hands on to it what a journal tells at start.
ReplayVisitor replay_into(Dispatcher& dispatcher);

}  // namespace tandem::broker
