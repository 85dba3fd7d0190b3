// A worker: begins what it has room for, answers, fails, dies of poison, stops without a word and goes on,
// leaves and comes back under its name.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/network.h"

namespace tandem::broker::sim {

class SimWorker {
 public:
  SimWorker(World& world, Network& network, const std::string& name, const std::string& host);

  void step();
  void hear(const std::string& peer, Message message);
  // The storm is over: up, with room, and known to the broker.
  void recover();

  const std::string& name() const { return name_; }
  // Jobs that it has and did not begin.
  size_t n_waiting() const;
  size_t n_slots() const { return n_slots_; }

 private:
  struct Held {
    uint32_t attempt = 0;
    std::string text;
    Urgency urgency = Urgency::kBulk;
    uint64_t arrival = 0;
    bool is_begun = false;
    TimePoint ends, expires = TimePoint::max();
  };

  void read(const Message& message);
  void wake_up();
  void go_on();
  void die(bool says_goodbye);
  void begin_jobs();
  void finish_jobs();
  void draw_limits();
  void say(const Message& message) { network_.to_broker(Door::kWork, peer_, message); }
  void say_hello();
  std::vector<HeldLease> leases() const;
  std::vector<HeldLease> give_back(const std::vector<JobId>& ids);

  World& world_;
  Network& network_;
  const std::string name_, host_;
  std::string peer_;
  uint64_t n_connections_ = 0, n_arrivals_ = 0;
  uint32_t credit_ = 1, extra_ = 0;
  uint64_t cost_max_ = 0;
  size_t n_slots_ = 1;
  std::map<JobId, Held> held_;
  std::vector<Message> unread_;  // while it is stopped
  TimePoint next_heartbeat_;
  TimePoint away_until_;  // dead, or stopped
  bool is_up_ = false, is_stopped_ = false;
};

}  // namespace tandem::broker::sim
