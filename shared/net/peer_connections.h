// Which connections of a bound socket belong to which key. Inside shared/net only.

#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace tandem {

// A connection is known by the number of its file, which ZeroMQ tells with every message. ZeroMQ has no way
// to end one connection of a socket, so drop() shuts its file down, as if the peer had gone. A number that
// was closed and given to another connection meanwhile costs that one a reconnect, and files that are no
// connections of this port are left alone.
class PeerConnections {
 public:
  explicit PeerConnections(uint16_t port) : port_(port) {}

  void note(int file, const std::string& key);
  // All connections of that key end.
  void drop(const std::string& key);

 private:
  uint16_t port_;
  std::unordered_map<int, std::string> keys_;  // no more than open files
};

}  // namespace tandem
