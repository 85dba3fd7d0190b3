// The ways between the broker and everybody else. In the storm messages arrive late, twice, never, and
// overtake each other; afterwards they arrive once and in order. Each goes through the wire's codec.

#pragma once

#include <string>
#include <vector>

#include "broker/plan.h"
#include "tests/sim/world.h"

namespace tandem::broker::sim {

// A letter's `from` is whom it is from on the way to the broker, and whom it is for on the way back.
class Network {
 public:
  explicit Network(World& world) : world_(world) {}

  void to_broker(Door door, const std::string& peer, const Message& message) {
    post(to_broker_, {door, peer}, message);
  }
  void to_peer(const Address& to, const Message& message) { post(to_peers_, to, message); }

  // What has arrived by now.
  std::vector<Event> at_broker() { return take(to_broker_); }
  std::vector<Event> at_peers() { return take(to_peers_); }

  // The broker's sockets are gone, with all that was in them.
  void forget_what_waits_for_the_broker() { to_broker_.clear(); }

 private:
  struct Letter {
    TimePoint arrives;
    Address address;
    Message message;
  };
  void post(std::vector<Letter>& way, const Address& address, const Message& message);
  std::vector<Event> take(std::vector<Letter>& way);
  Message through_the_codec(const Message& message);

  World& world_;
  std::vector<Letter> to_broker_, to_peers_;
};

}  // namespace tandem::broker::sim
