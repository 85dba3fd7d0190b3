// What is true of every job, told by the commits alone: who was accepted, how it ended, in which of its
// lives. It knows nothing of queues, leases or workers, and is not forgotten when the broker dies.

#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/world.h"

namespace tandem::broker::sim {

struct ModelJob {
  AcceptedFact accepted;
  std::optional<FinishedFact> finished;
  int64_t finished_wall_ms = 0;
  // By the broker's steady clock, as of its last start.
  TimePoint not_before, deadline = TimePoint::max();
  TimePoint first_deadline;      // by a clock that never was set
  bool was_replayed = false;     // the broker that runs now did not accept it itself
  bool is_acknowledged = false;  // as the broker that runs now has heard
  TimePoint acknowledged_at;
  bool is_acknowledged_on_disk = false;

  std::string text() const { return accepted.payload.to_string(); }
};

class Model {
 public:
  explicit Model(World& world) : world_(world) {}

  void broker_started();
  // The broker hears this in the turn that is committed next.
  void heard_acknowledge(const Acknowledge& message);
  // What the broker wrote down. `heard` is what it had heard.
  void commit(const FactBatch& facts, const std::vector<Event>& heard);
  // An acknowledgement from a job's former life came in the very turn in which the job ended again: before or
  // after, only the broker knows.
  void settle_acknowledged(const JobId& id, bool is_acknowledged);
  const std::set<JobId>& acknowledged_too_early() const { return asked_too_early_; }
  void end_turn() { asked_too_early_.clear(); }

  const std::map<JobId, ModelJob>& jobs() const { return jobs_; }
  const ModelJob* find(const JobId& id) const;
  // Did the job ever come to this outcome, in this life or one before?
  bool ever_came_to(const JobId& id, const Error& error, const Bytes& payload) const;
  bool was_ever_accepted(const JobId& id) const { return ever_.contains(id); }
  bool was_ever_forgotten(const JobId& id) const { return forgotten_.contains(id); }
  size_t n_unfinished() const { return n_unfinished_; }
  bool has_revived() const { return has_revived_; }  // any job, ever
  // Finished jobs of a client that it did not acknowledge, in the order in which they finished.
  std::vector<JobId> unacknowledged(const std::string& client) const;

 private:
  void check_outcome(const ModelJob& job, const FinishedFact& fact, const std::vector<Event>& heard);
  void set_times(ModelJob& job) const;
  void forget(const FactBatch& facts, const std::vector<Event>& heard);

  World& world_;
  std::map<JobId, ModelJob> jobs_;
  std::map<Sequence, JobId> by_fact_;  // accepted and finished facts that are on disk
  std::map<JobId, std::set<std::pair<std::string, std::string>>> ever_;  // errors and payloads of all lives
  std::set<JobId> forgotten_;
  std::set<JobId> asked_too_early_;
  size_t n_unfinished_ = 0;
  bool has_revived_ = false;
};

}  // namespace tandem::broker::sim
