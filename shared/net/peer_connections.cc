#include "shared/net/peer_connections.h"

#include <netinet/in.h>
#include <sys/socket.h>

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
    if (port_of(at->first) == port_) ::shutdown(at->first, SHUT_RDWR);
    at = keys_.erase(at);
  }
}

}  // namespace tandem
