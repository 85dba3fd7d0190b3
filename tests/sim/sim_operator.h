// A person who looks after the queue: puts dead jobs back, forgets finished ones, drains workers and hosts.

#pragma once

#include <string>
#include <vector>

#include "tests/sim/model.h"
#include "tests/sim/network.h"

namespace tandem::broker::sim {

class SimOperator {
 public:
  SimOperator(World& world, Network& network, const Model& model, std::vector<std::string> workers_and_hosts)
      : world_(world), network_(network), model_(model), names_(std::move(workers_and_hosts)) {}

  void step();
  void hear(const Message& message);
  // The storm is over: everybody may work.
  void recover();

  static constexpr const char* kPeer = "connection of the operator";

 private:
  void say(const Message& message) { network_.to_broker(Door::kSubmit, kPeer, message); }
  // A job that is on disk, any one of them.
  JobId any_job();

  World& world_;
  Network& network_;
  const Model& model_;
  const std::vector<std::string> names_;
};

}  // namespace tandem::broker::sim
