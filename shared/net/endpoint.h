// Addresses of sockets: "tcp://host:port" and "ipc://path".

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace tandem {

struct Endpoint {
  enum class Transport : uint8_t { kTcp, kIpc };

  Transport transport = Transport::kTcp;
  std::string host;   // of tcp, IPv6 without its brackets
  uint16_t port = 0;  // of tcp; 0 asks for any free port, for binding only
  std::string path;   // of ipc

  std::string to_string() const;  // as ZeroMQ takes it
  // This machine only: every ipc, and tcp on 127.0.0.0/8, ::1 or localhost.
  bool is_local() const;
};

// kInvalid says what was expected: a scheme, a host and port, a path of at most 107 bytes (the system's
// limit).
Result<Endpoint> parse_endpoint(std::string_view text);

// May a socket listen here? kInvalid for a port that other machines could reach unless it is bound
// `with_keys`, and for host names that are no address. With keys "*" is good, too: every address. kNotFound
// when the folder of an ipc path is missing.
Result<void> check_bindable(const Endpoint& endpoint, bool with_keys = false);

}  // namespace tandem
