// Which connections of a bound socket belong to which key, and which have ended. Inside shared/net only.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace zmq {
class context_t;
class socket_t;
}  // namespace zmq

namespace tandem {

// A connection is known by the number of its file, which ZeroMQ tells with every message. ZeroMQ has no way
// to end one connection of a socket, so drop() shuts its file down, as if the peer had gone. A number that
// was closed and given to another connection meanwhile costs that one a reconnect, and files that are no
// connections of this port are left alone.
class PeerConnections {
 public:
  PeerConnections();
  ~PeerConnections();
  void set_port(uint16_t port) { port_ = port; }

  void note(int file, const std::string& key);
  // All connections of that key end.
  void drop(const std::string& key);
  void drop(int file) const;

  // For a socket that must know whether a message's connection still stands. Before it is bound. Throws
  // zmq::error_t.
  void watch_ends(zmq::context_t& context, zmq::socket_t& socket);
  // Hears which connections have ended since the last call.
  void look_for_ends();
  // After look_for_ends() the socket was read empty: what is read from now on is of none of them.
  void forget_ends() { ended_.clear(); }
  // How many topics the connection has subscribed to, permitted or not: ZeroMQ remembers all of them.
  size_t& n_topics(int file) { return n_topics_[file]; }
  // False when the connection ended, or another one with its number did, before the last look.
  bool stands(int file) const;

 private:
  uint16_t port_ = 0;
  std::unordered_map<int, std::string> keys_;  // no more than open files
  std::unique_ptr<zmq::socket_t> ends_;        // what ZeroMQ tells (a socket monitor)
  std::unordered_set<int> ended_;
  std::unordered_map<int, size_t> n_topics_;
};

}  // namespace tandem
