// A client: submits until it is accepted, waits as it is told when there is no room, fetches, cancels,
// collects, acknowledges, and sometimes knows no more than its jobs' ids.

#pragma once

#include <string>
#include <vector>

#include "tests/sim/model.h"
#include "tests/sim/network.h"

namespace tandem::broker::sim {

class SimClient {
 public:
  SimClient(World& world, Network& network, const Model& model, const std::string& name);

  // One more job for it to bring; in the storm at any time, otherwise as soon as it may.
  void add_job();
  void step();
  void hear(const Message& message);

  const std::string& name() const { return name_; }
  size_t n_jobs() const { return jobs_.size(); }
  bool is_content() const;  // all its jobs are over
  std::vector<std::string> unfinished() const;

 private:
  struct Job {
    SubmitItem item;
    bool is_submitted = false, is_accepted = false, is_over = false;
    TimePoint next_act;
  };

  SubmitItem draw_item(size_t number);
  void lose_memory();
  void heard_outcome(const JobId& id, const Error& error, const Bytes& payload);
  void say(const Message& message);
  Job* find(const JobId& id);

  World& world_;
  Network& network_;
  const Model& model_;
  const std::string name_;
  std::map<JobId, Job> jobs_;
  std::vector<JobId> order_;  // in which they are brought
  size_t window_max_;         // jobs that it waits for at the same time, in the calm
};

}  // namespace tandem::broker::sim
