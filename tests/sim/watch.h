// What must hold after every turn, an idea to a class. Each is shown every turn that the broker took to its
// end; what is wrong goes to the world.

#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "tests/sim/sim_broker.h"

namespace tandem::broker::sim {

// The broker's counts and lists are those of the model, limits hold, every outcome is published once, and
// what is due has happened.
class CountWatch {
 public:
  CountWatch(World& world, Model& model) : world_(world), model_(model) {}
  void look(const SimBroker& broker, const SimBroker::Turn& turn);

 private:
  void compare_jobs(const SimBroker::Turn& turn);
  void compare_clients(const SimBroker::Turn& turn);
  void compare_totals(const SimBroker& broker, const SimBroker::Turn& turn);
  void check_published(const SimBroker::Turn& turn);

  World& world_;
  Model& model_;
  uint64_t start_ = 0, n_accepted_ = 0, n_finished_ = 0, n_failed_ = 0;  // since the broker's start
};

// No lease is given while another worker has a valid one.
class LeaseWatch {
 public:
  explicit LeaseWatch(World& world) : world_(world) {}
  void look(const SimBroker& broker, const SimBroker::Turn& turn);

 private:
  struct Held {
    std::string worker;
    uint32_t attempt = 0;
    TimePoint renewed;  // or given
    TimePoint named;    // by its worker, which may mean another life of the job
  };
  void note(const SimBroker::Turn& turn);

  World& world_;
  uint64_t start_ = 0;
  std::map<JobId, Held> held_;                    // as of the last turn
  std::map<std::string, std::string> worker_at_;  // by connection, as of the last turn
  std::set<std::string> gave_up_;                 // workers that gave leases back in this turn
};

// Whoever is lent something has room for it and is alive; nothing is lent before its time or after it;
// nothing waits while a worker with room is there; in the calm, everything goes out in its order.
class LendWatch {
 public:
  LendWatch(World& world, const Model& model) : world_(world), model_(model) {}
  void look(const SimBroker& broker, const SimBroker::Turn& turn);

 private:
  void check_room(const SimBroker& broker, const SimBroker::Turn& turn);
  void check_idle(const SimBroker& broker);
  void check_order(const SimBroker::Turn& turn);

  World& world_;
  const Model& model_;
};

// In the calm: among clients whose jobs wait at the same level, nobody gets ahead of another by more than the
// cost of one job of each.
class ShareWatch {
 public:
  ShareWatch(World& world, const Model& model) : world_(world), model_(model) {}
  void look(const SimBroker::Turn& turn);

 private:
  struct Level {
    std::map<std::string, uint64_t> served;  // cost, by client
    // How far the second was ahead of the first, at least, since the first began to wait without a break.
    std::map<std::pair<std::string, std::string>, int64_t> least_ahead;
  };
  World& world_;
  const Model& model_;
  std::map<std::pair<Urgency, uint8_t>, Level> levels_;
};

// Equal jobs run once, in the calm: one at a time, an answer is everybody's, and so are its parts.
class FlightWatch {
 public:
  FlightWatch(World& world, const Model& model) : world_(world), model_(model) {}
  void look(const SimBroker::Turn& turn);

 private:
  World& world_;
  const Model& model_;
};

// "job 01ab..., 'text' of ann": for messages.
std::string describe(const Model& model, const JobId& id);

}  // namespace tandem::broker::sim
