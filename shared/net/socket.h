// What all sockets have in common: one owner, one thread, messages in three frames, nothing that waits.

#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "shared/base/clock.h"
#include "shared/base/limits.h"
#include "shared/base/result.h"
#include "shared/base/thread_owner.h"
#include "shared/net/context.h"
#include "shared/net/held_bytes.h"
#include "shared/net/keys.h"
#include "shared/protocol/frames.h"

namespace zmq {
class socket_t;
}

namespace tandem {

class HandshakeWatch;
class PeerConnections;
class Waitable;  // shared/net/wait.h

struct SocketOptions {
  int queue_max = 1000;  // messages that wait in either direction, for each peer
  size_t message_bytes_max = limits::kMessageBytesMax;  // of one frame; a peer that sends more is cut off
  milliseconds linger{1000};                            // how long a closed socket still tries to send
  milliseconds heartbeat{5000};  // on tcp: a peer silent for three of them counts as gone
  // true: send() is kFull while nobody is connected. false: messages queue for a peer that is still away.
  bool connected_only = false;
  // On tcp, CURVE. Whoever binds proves itself with `server_keys` and asks the ZapHandler of its context,
  // which must be there, whom to let in. Whoever connects presents `client_keys`. On ipc both are passed
  // over: the permissions of the socket's folder guard it.
  std::optional<KeyPair> server_keys;
  std::optional<ClientKeys> client_keys;
};

// Belongs to the thread that uses it first; a call from another thread aborts. Closed by its destructor.
class Socket {
 public:
  Socket(Socket&&) noexcept;
  Socket& operator=(Socket&&) noexcept;
  ~Socket();

  // Where it is bound or connected; the real port after binding port 0.
  const std::string& endpoint() const { return endpoint_; }

  // Bound with keys: every message comes from a key of the list, as it was when its sender connected.
  bool is_guarded() const { return connections_ != nullptr; }
  // The public key (Z85) of whoever sent the message that was received last; empty on a socket that is not
  // guarded.
  const std::string& sender() const { return sender_; }
  // The protocol version that the last message received claims; 0 if it had no head.
  uint8_t peer_version() const { return peer_version_; }
  // The number of the request, when the last message could not be read but for that; otherwise 0.
  uint64_t unreadable_request() const { return unreadable_request_; }
  // Of a guarded socket: ends the connections of that key, as far as anything was heard over them.
  void drop_connections(const std::string& key);

  // Of a DealerSocket over tcp: why there is no connection. kInvalid: the broker refuses our key, or one side
  // has keys and the other none; it is not tried again. kUnavailable: it looks as if `server_key` were not
  // the broker's; it is tried again. Ask now and then: the answer is never waited for.
  std::optional<Error> handshake_problem();

 protected:
  enum class Type { kDealer, kRouter, kPush, kPull, kXPub, kSub };

  static Result<Socket> bind(NetContext& context, Type type, const std::string& endpoint,
                             const SocketOptions& options);
  static Result<Socket> connect(NetContext& context, Type type, const std::string& endpoint,
                                const SocketOptions& options);

  // kFull: the queue is at its limit, or more than `max` waits with this message. kUnavailable: no such peer.
  // kTooLong: above kMessageBytesMax. `first`, if given, goes as a frame before.
  Result<void> send_message(const std::string* first, const Message& message, HeldBytesMax max = {});
  Result<void> send_frames(const std::string* first, Frames frames, std::string_view kind,
                           HeldBytesMax max = {});
  // Whether so many bytes to a peer are within `max`.
  bool fits(const std::string& peer, size_t n_bytes, HeldBytesMax max) const;
  // Nothing when no message waits. `first`, if given, receives the frame before the message.
  std::optional<Result<Message>> receive_message(std::string* first);
  struct Frame {
    std::string bytes;
    bool has_more = false;
    int file = -1;  // of the connection it came over; -1: of none that is known
  };
  // One frame that is no message of the protocol, such as a subscription; nothing when none waits.
  std::optional<Frame> receive_frame();
  PeerConnections* connections() { return connections_.get(); }
  zmq::socket_t& socket() {
    owner_.check();
    return *socket_;
  }

 private:
  friend bool wait(std::span<const Waitable> what, Duration time);
  class IpcGuard;

  Socket(std::unique_ptr<zmq::socket_t> socket, std::unique_ptr<IpcGuard> guard, std::string endpoint);
  // Gives the connection's file, or -1.
  int note_sender(void* frame);
  static std::unique_ptr<zmq::socket_t> make(NetContext& context, Type type, const SocketOptions& options,
                                             bool tcp, bool ipv6);

  std::unique_ptr<IpcGuard> guard_;  // outlives the socket
  std::unique_ptr<zmq::socket_t> socket_;
  std::string endpoint_;
  std::unique_ptr<PeerConnections> connections_;  // of a guarded socket
  std::unique_ptr<HandshakeWatch> handshakes_;    // of a dealer over tcp
  std::unique_ptr<HeldByPeer> held_;
  std::string sender_;
  uint8_t peer_version_ = 0;
  uint64_t unreadable_request_ = 0;
  ThreadOwner owner_;
};

}  // namespace tandem
