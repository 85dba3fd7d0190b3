// The broker's process: a dispatcher and a journal without a disk. It is killed with what it heard, with what
// it decided, or with what it wrote down.

#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "tests/broker/memory_journal.h"
#include "tests/sim/model.h"
#include "tests/sim/network.h"

namespace tandem::broker::sim {

// What the broker says about itself, asked in a turn of its own at the same time.
struct Observation {
  StatusReply status;
  std::vector<JobStatus> jobs, dead;                      // unfinished, dead
  std::map<std::string, std::vector<JobId>> uncollected;  // by client
};

class SimBroker {
 public:
  SimBroker(World& world, Network& network, Model& model);

  struct Turn {
    std::vector<Event> heard;
    Plan plan;
    Observation after;
  };
  // Nothing if the broker died in it.
  std::optional<Turn> turn();

  const Dispatcher& dispatcher() const { return *dispatcher_; }
  TimePoint started_at() const { return started_at_; }
  bool is_in_grace() const { return world_.now < started_at_ + world_.config.dispatcher.restart_grace; }
  uint64_t n_starts() const { return n_starts_; }

 private:
  void start();
  void speak(Plan& plan);
  bool fill(Speech& speech);
  Observation observe();

  World& world_;
  Network& network_;
  Model& model_;
  MemoryJournal journal_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::vector<Plan> unsaid_;  // of turns whose facts are on disk
  TimePoint started_at_;
  uint64_t n_starts_ = 0;
};

std::string peer_of_client(const std::string& client);

}  // namespace tandem::broker::sim
