// A small world around the dispatcher, in one thread: a broker, workers, clients, an operator and a network,
// in a storm, while it settles, and in the calm after it. Everything follows from the seed.

#pragma once

#include <string>
#include <vector>

#include "tests/sim/sim_client.h"
#include "tests/sim/sim_operator.h"
#include "tests/sim/sim_worker.h"
#include "tests/sim/watch.h"

namespace tandem::broker::sim {

class Simulation {
 public:
  explicit Simulation(const SimulationConfig& config);

  // From the storm to the end of the calm, or of the time in which that must have come. Returns what went
  // wrong, one line each; empty if every promise was kept.
  std::vector<std::string> run();

 private:
  void step();
  void step_broker();
  void deliver();
  void watch_idle_workers(const SimBroker::Turn& turn);
  bool run_until_all_is_over();
  bool is_over() const;
  void add_jobs(int n);

  World world_;
  Network network_;
  Model model_;
  SimBroker broker_;
  std::vector<SimWorker> workers_;
  std::vector<SimClient> clients_;
  SimOperator operator_;

  CountWatch counts_;
  LeaseWatch leases_;
  LendWatch lending_;
  ShareWatch shares_;
  FlightWatch flights_;
  TimePoint idle_since_;  // somebody has nothing to do while somebody else has jobs that it did not begin
};

}  // namespace tandem::broker::sim
