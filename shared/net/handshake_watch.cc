#include "shared/net/handshake_watch.h"

#include <zmq.h>

#include <atomic>
#include <cstring>
#include <zmq.hpp>

namespace tandem {
namespace {

// One may be a broker that was stopped in the middle of it.
constexpr uint32_t kBrokenOffMax = 3;
constexpr int kEvents = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                        ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_SUCCEEDED;

}  // namespace

HandshakeWatch::HandshakeWatch(zmq::context_t& context, zmq::socket_t& socket, std::string own_key)
    : events_(std::make_unique<zmq::socket_t>(context, zmq::socket_type::pair)),
      own_key_(std::move(own_key)) {
  static std::atomic<uint64_t> n_made = 0;
  const std::string address = "inproc://handshakes-" + std::to_string(++n_made);
  if (::zmq_socket_monitor(socket.handle(), address.c_str(), kEvents) != 0) throw zmq::error_t();
  // Without a limit: at a limit ZeroMQ's own thread would wait for us. There is an event a second at most.
  events_->set(zmq::sockopt::rcvhwm, 0);
  events_->set(zmq::sockopt::linger, 0);
  events_->connect(address);
}

HandshakeWatch::~HandshakeWatch() = default;

std::optional<Error> HandshakeWatch::problem(const std::string& endpoint) {
  zmq::message_t event;
  while (events_->recv(event, zmq::recv_flags::dontwait)) {
    uint16_t kind = 0;
    if (event.size() >= sizeof kind) std::memcpy(&kind, event.data(), sizeof kind);
    zmq::message_t address;
    if (event.more() && !events_->recv(address, zmq::recv_flags::dontwait)) break;
    switch (kind) {
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        n_broken_off_ = 0;
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        ++n_broken_off_;
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        refusal_ = {ErrorCode::kInvalid,
                    "the broker at " + endpoint + " does not let in the key " + own_key_ +
                        ": its allow file needs a line for it (`tandem keygen` printed one)"};
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        refusal_ = {ErrorCode::kInvalid,
                    own_key_.empty() ? "the broker at " + endpoint +
                                           " talks to those with keys only: expected security.key_file and "
                                           "security.server_key, found none"
                                     : "expected a broker with keys at " + endpoint +
                                           ", found one without, or another program"};
        break;
      default:
        break;
    }
  }
  if (refusal_) return refusal_;
  if (n_broken_off_ >= kBrokenOffMax && !own_key_.empty()) {
    return Error{ErrorCode::kUnavailable, "what is at " + endpoint +
                                              " breaks off every handshake: is server_key the " +
                                              "public key of that broker, and does the broker have keys?"};
  }
  return {};
}

}  // namespace tandem
