// Decides everything about jobs, leases and workers. Pure: events and time in, plan out; no socket, disk,
// clock or log. The same events at the same times give the same plans, which is how it is tested.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/job_table.h"
#include "broker/leases.h"
#include "broker/plan.h"
#include "broker/ready_queue.h"
#include "broker/sweep.h"
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
};

// Since the broker started.
struct DispatcherCounters {
  uint64_t accepted = 0;
  uint64_t finished = 0;      // with either outcome
  uint64_t failed = 0;        // of those, without a result
  uint64_t redelivered = 0;   // leases after a job's first
  uint64_t late_results = 0;  // for jobs that had an outcome, or are unknown
  uint64_t misplaced = 0;     // messages that have no business at the door they came to
};

// One thread. First replay() every fact in order, then start(), then turn() for ever.
class Dispatcher {
 public:
  explicit Dispatcher(const DispatcherConfig& config);

  // kCorrupt if the fact contradicts the facts before it, which no journal of ours can do.
  Result<void> replay(AcceptedFact fact, size_t payload_bytes);
  Result<void> replay(const FinishedFact& fact);
  void start(TimePoint now);

  // Hears `events` in order, then lets time pass: leases run out, jobs are lent, old results forgotten.
  Plan turn(const TurnStart& at, std::vector<Event> events);

  const DispatcherCounters& counters() const { return counters_; }
  // For logs and metrics.
  size_t n_ready() const { return ready_.size(); }
  size_t n_leased() const { return leases_.size(); }
  size_t n_finished_kept() const { return sweep_.size(); }
  const WorkerTable& workers() const { return workers_; }

 private:
  struct Turn {  // the one being decided
    TurnStart at;
    Plan plan;
    void say(const Address& to, Message message) { plan.speeches.push_back({to, std::move(message), {}}); }
  };

  // Clients: dispatcher_clients.cc.
  void hear(Turn& turn, const Address& from, Submit message);
  void hear(Turn& turn, const Address& from, const Fetch& message);
  void hear(Turn& turn, const Address& from, const Cancel& message);
  void hear(Turn& turn, const Address& from, const Status& message);
  AcceptedItem accept(Turn& turn, const std::string& client, SubmitItem item);
  void refuse(Turn& turn, const Address& from, uint64_t request, const Message& message);

  // Workers: dispatcher_workers.cc.
  void hear(Turn& turn, const Address& from, const Hello& message);
  void hear(Turn& turn, Worker& worker, const Ready& message);
  void hear(Turn& turn, Worker& worker, const Heartbeat& message);
  void hear(Turn& turn, Worker& worker, const Goodbye& message);
  void hear(Turn& turn, ResultMessage message);
  void hear(Turn& turn, Partial message);
  void hear_result(Turn& turn, const std::string& worker, ResultItem item);
  void hear_held(Turn& turn, Worker& worker, const std::vector<HeldLease>& held);

  // The life of a job: dispatcher.cc. `record` is gone after finish(), and after give_back() when that was
  // its last attempt.
  void hear_at_submit(Turn& turn, Event& event);
  void hear_at_work(Turn& turn, Event& event);
  void hear_at_results(Turn& turn, Event& event);
  void grant(Turn& turn, JobRecord& record, Worker& worker, uint32_t attempt);
  void end_lease(JobRecord& record);
  void give_back(Turn& turn, JobRecord& record, const std::string& reason, milliseconds delay);
  void finish(Turn& turn, JobRecord& record, FinishedFact outcome);
  void expire(Turn& turn);
  void lend(Turn& turn);
  void forget(Turn& turn);
  TimePoint wake_at(const Turn& turn) const;

  const DispatcherConfig config_;
  Sequence next_sequence_ = 1;
  JobTable jobs_;
  ReadyQueue ready_;
  Leases leases_;
  WorkerTable workers_;
  Sweep sweep_;
  TimePoint started_at_;
  TimePoint next_sweep_;
  bool lent_to_the_limit_ = false;  // more could be lent, in the next turn
  DispatcherCounters counters_;
};

}  // namespace tandem::broker
