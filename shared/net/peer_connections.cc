#include "shared/net/peer_connections.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <zmq.h>

#include <atomic>
#include <cstring>
#include <zmq.hpp>

namespace tandem {
namespace {

// The local port of a TCP connection; -1 for any other file.
int port_of(int file) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(file, reinterpret_cast<sockaddr*>(&address), &size) != 0) return -1;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return -1;
}

}  // namespace

PeerConnections::PeerConnections() = default;
PeerConnections::~PeerConnections() = default;

void PeerConnections::note(int file, const std::string& key) {
  std::string& known = keys_[file];
  if (known != key) known = key;
}

void PeerConnections::drop(const std::string& key) {
  for (auto at = keys_.begin(); at != keys_.end();) {
    if (at->second != key) {
      ++at;
      continue;
    }
    drop(at->first);
    at = keys_.erase(at);
  }
}

void PeerConnections::drop(int file) const {
  if (port_of(file) == port_) ::shutdown(file, SHUT_RDWR);
}

void PeerConnections::watch_ends(zmq::context_t& context, zmq::socket_t& socket) {
  static std::atomic<uint64_t> n_made = 0;
  const std::string address = "inproc://ends-" + std::to_string(++n_made);
  if (::zmq_socket_monitor(socket.handle(), address.c_str(), ZMQ_EVENT_DISCONNECTED) != 0) {
    throw zmq::error_t();
  }
  ends_ = std::make_unique<zmq::socket_t>(context, zmq::socket_type::pair);
  // Without a limit: at a limit ZeroMQ's own thread would wait for us.
  ends_->set(zmq::sockopt::rcvhwm, 0);
  ends_->set(zmq::sockopt::linger, 0);
  ends_->connect(address);
}

// An event is its kind (2 bytes) and the file (4), and a frame with the address.
void PeerConnections::look_for_ends() {
  if (ends_ == nullptr) return;
  zmq::message_t event;
  while (ends_->recv(event, zmq::recv_flags::dontwait)) {
    int32_t file = -1;
    if (event.size() == sizeof(uint16_t) + sizeof file) {
      std::memcpy(&file, static_cast<const char*>(event.data()) + sizeof(uint16_t), sizeof file);
      ended_.insert(file);
      n_topics_.erase(file);
    }
    zmq::message_t address;
    if (event.more() && !ends_->recv(address, zmq::recv_flags::dontwait)) break;
  }
}

bool PeerConnections::stands(int file) const {
  return port_of(file) == port_ && !ended_.contains(file);
}

}  // namespace tandem
