// The sockets between client, broker and worker (DESIGN, "Wire"). None of their functions waits: wait.h does.
//
// receive() gives nothing when no message waits. A message that cannot be read is an Error in its place
// (kInvalid, kTooLong or kUnsupported), for the log or to be answered with Refused; the next one is not
// affected.
//
// send() fails with kTooLong when the message is larger than limits::kMessageBytesMax: send fewer items.
//
// Open errors: kInvalid for an address that is none (or that may not be bound, see endpoint.h), kExists for
// one that another program has, kNotFound for an ipc path in a folder that is missing, kIo else. A connected
// peer need not be there yet: it is looked for again every 50 ms to 1 s, for ever.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/net/socket.h"

namespace tandem {

// A client or worker's side of a conversation with the broker.
class DealerSocket : public Socket {
 public:
  static Result<DealerSocket> connect(NetContext& context, const std::string& endpoint,
                                      const SocketOptions& options = {});

  // kFull: the caller keeps the message and offers it again.
  Result<void> send(const Message& message) { return send_message(nullptr, message); }
  std::optional<Result<Message>> receive() { return receive_message(nullptr); }

 private:
  explicit DealerSocket(Socket socket) : Socket(std::move(socket)) {}
};

// The broker's side: many peers, each known by an identity that lasts as long as its connection.
class RouterSocket : public Socket {
 public:
  struct Received {
    std::string peer;
    Result<Message> message;
  };

  static Result<RouterSocket> bind(NetContext& context, const std::string& endpoint,
                                   const SocketOptions& options = {});

  // kUnavailable: the peer is gone. kFull: it, or all of them together, do not read fast enough
  // (held_bytes.h). Other peers are not affected by a full queue in messages.
  Result<void> send(const std::string& peer, const Message& message) {
    return send_message(&peer, message, kBytesMax);
  }
  // Whether send() would take a message of so many bytes, as far as bytes count.
  bool has_room(const std::string& peer, size_t n_bytes) const { return fits(peer, n_bytes, kBytesMax); }
  // To a peer of whatever version.
  Result<void> refuse(const std::string& peer, const Refused& refused, uint8_t version) {
    return send_frames(&peer, encode(refused, version), "refused", kBytesMax);
  }
  std::optional<Received> receive();

 private:
  static constexpr HeldBytesMax kBytesMax{.all = kRouterBytesMax, .peer = kPeerBytesMax};

  explicit RouterSocket(Socket socket) : Socket(std::move(socket)) {}
};

// Results on their way to the broker.
class PushSocket : public Socket {
 public:
  static Result<PushSocket> connect(NetContext& context, const std::string& endpoint,
                                    const SocketOptions& options = {});
  // kFull: the caller keeps the message and offers it again.
  Result<void> send(const Message& message) { return send_message(nullptr, message); }

 private:
  explicit PushSocket(Socket socket) : Socket(std::move(socket)) {}
};

class PullSocket : public Socket {
 public:
  static Result<PullSocket> bind(NetContext& context, const std::string& endpoint,
                                 const SocketOptions& options = {});
  std::optional<Result<Message>> receive() { return receive_message(nullptr); }

 private:
  explicit PullSocket(Socket socket) : Socket(std::move(socket)) {}
};

// Results on their way to whoever listens to a topic, "<client>/".
//
// Where is_guarded(), a subscription counts once hear_subscriptions() was called and `may_subscribe` said so,
// given the sender's public key and the topic; others are passed over. Elsewhere every subscription counts.
class PublisherSocket : public Socket {
 public:
  using MaySubscribe = std::function<bool(const std::string& key, std::string_view topic)>;

  static Result<PublisherSocket> bind(NetContext& context, const std::string& endpoint,
                                      const SocketOptions& options = {});
  struct Heard {
    size_t n_passed_over = 0;
    // Public keys of those that sent what is no subscription. Their connections are dropped; let nobody in
    // with them for a while, because each time costs others a reconnect.
    std::vector<std::string> offenders;
  };
  // Call it now and then where is_guarded(): a subscription waits for it.
  Heard hear_subscriptions(const MaySubscribe& may_subscribe = {});
  // Nobody listening is no error. A subscriber with a full queue misses the message, without notice. kFull:
  // so much waits for those that read slowly that nobody hears the message; partials are dropped first.
  Result<void> publish(const std::string& topic, const Message& message);

 private:
  explicit PublisherSocket(Socket socket) : Socket(std::move(socket)) {}
  // Whether it was permitted and done.
  bool apply(const Frame& frame, const MaySubscribe& may_subscribe);

  bool is_in_step_ = true;
};

class SubscriberSocket : public Socket {
 public:
  struct Published {
    std::string topic;
    Result<Message> message;
  };

  static Result<SubscriberSocket> connect(NetContext& context, const std::string& endpoint,
                                          const SocketOptions& options = {});
  // To all topics that begin with `topic`. Takes effect a moment after the connection stands: what was
  // published before is missed, and fetched from the broker by its job id.
  Result<void> subscribe(const std::string& topic);
  Result<void> unsubscribe(const std::string& topic);
  std::optional<Published> receive();

 private:
  explicit SubscriberSocket(Socket socket) : Socket(std::move(socket)) {}
};

}  // namespace tandem
