// Why a connection over tcp does not come about. Inside shared/net only.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "shared/base/error.h"

namespace zmq {
class context_t;
class socket_t;
}  // namespace zmq

namespace tandem {

// Reads what ZeroMQ tells of handshakes (a socket monitor). ZeroMQ itself is silent: a refused socket looks
// like one whose broker is away.
class HandshakeWatch {
 public:
  // Before `socket` connects. `own_key` is named in errors; empty: without keys. Throws zmq::error_t.
  HandshakeWatch(zmq::context_t& context, zmq::socket_t& socket, std::string own_key);
  ~HandshakeWatch();

  // What is wrong, if anything is: see Socket::handshake_problem(). Never waits.
  std::optional<Error> problem(const std::string& endpoint);

 private:
  std::unique_ptr<zmq::socket_t> events_;
  std::string own_key_;
  std::optional<Error> refusal_;
  uint32_t n_broken_off_ = 0;  // handshakes in a row
};

}  // namespace tandem
