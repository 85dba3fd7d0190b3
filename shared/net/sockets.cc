#include "shared/net/sockets.h"

#include <algorithm>
#include <zmq.hpp>

#include "shared/net/peer_connections.h"

namespace tandem {
namespace {

// All that a publisher is sent: one byte and a topic, besides what a handshake takes.
constexpr size_t kSubscriptionBytesMax = 1024;
// Without keys the handshake is short, and a topic is at most a name and '/'.
constexpr size_t kPlainSubscriptionBytesMax = 2 * limits::kNameBytesMax;
// Of one connection to a socket with keys.
constexpr size_t kTopicsMax = 16;
// Heard in one go: whoever subscribes without end does not keep the others waiting.
constexpr size_t kSubscriptionsMax = 10'000;

}  // namespace

Result<DealerSocket> DealerSocket::connect(NetContext& context, const std::string& endpoint,
                                           const SocketOptions& options) {
  TANDEM_ASSIGN(Socket socket, Socket::connect(context, Type::kDealer, endpoint, options));
  return DealerSocket(std::move(socket));
}

Result<RouterSocket> RouterSocket::bind(NetContext& context, const std::string& endpoint,
                                        const SocketOptions& options) {
  TANDEM_ASSIGN(Socket socket, Socket::bind(context, Type::kRouter, endpoint, options));
  return RouterSocket(std::move(socket));
}

std::optional<RouterSocket::Received> RouterSocket::receive() {
  std::string peer;
  auto message = receive_message(&peer);
  if (!message) return std::nullopt;
  return Received{std::move(peer), std::move(*message)};
}

Result<PushSocket> PushSocket::connect(NetContext& context, const std::string& endpoint,
                                       const SocketOptions& options) {
  TANDEM_ASSIGN(Socket socket, Socket::connect(context, Type::kPush, endpoint, options));
  return PushSocket(std::move(socket));
}

Result<PullSocket> PullSocket::bind(NetContext& context, const std::string& endpoint,
                                    const SocketOptions& options) {
  TANDEM_ASSIGN(Socket socket, Socket::bind(context, Type::kPull, endpoint, options));
  return PullSocket(std::move(socket));
}

Result<PublisherSocket> PublisherSocket::bind(NetContext& context, const std::string& endpoint,
                                              const SocketOptions& options) {
  SocketOptions own = options;
  own.message_bytes_max = options.server_keys ? kSubscriptionBytesMax : kPlainSubscriptionBytesMax;
  TANDEM_ASSIGN(Socket socket, Socket::bind(context, Type::kXPub, endpoint, own));
  return PublisherSocket(std::move(socket));
}

// ZeroMQ (4.3.4, xpub.cpp) applies what we allow to "the last pipe": each frame that is read takes the next
// from a queue of pipes. Two things make that another peer's pipe.
//
// - A frame that is no subscription puts no pipe into that queue, but takes one out. From then on frames and
//   pipes are out of step, until both queues are empty: no frame is without a place in its own queue, so
//   EAGAIN says so. Until then nothing is applied, and whoever subscribed connects and subscribes again.
// - A pipe that ended stays in the queue, freed; the next connection may get its memory. So nothing is
//   applied for a connection that ended since the queue was last empty. ZeroMQ tells the end before it closes
//   the file, closes that before it frees the pipe, and frees it within calls for this socket, none of which
//   is between the look and the subscription. What it adds itself when a pipe ends, an unsubscription from
//   nobody with a pipe that is null, keeps in step.
PublisherSocket::Heard PublisherSocket::hear_subscriptions(const MaySubscribe& may_subscribe) {
  Heard heard;
  if (is_guarded()) connections()->look_for_ends();
  for (size_t n = 0; n < kSubscriptionsMax; ++n) {
    const auto frame = receive_frame();
    if (!frame) {
      is_in_step_ = true;
      if (is_guarded()) connections()->forget_ends();
      break;
    }
    // ZeroMQ has already acted on it.
    if (!is_guarded()) continue;
    const bool is_subscription =
        !frame->has_more && !frame->bytes.empty() && (frame->bytes[0] == 0 || frame->bytes[0] == 1);
    if (!is_subscription) {
      is_in_step_ = false;
      ++heard.n_passed_over;
      if (std::ranges::find(heard.offenders, sender()) == heard.offenders.end()) {
        heard.offenders.push_back(sender());
      }
      drop_connections(sender());
      continue;
    }
    if (frame->file < 0) continue;  // from nobody: a pipe has ended
    connections()->look_for_ends();
    if (!is_in_step_ || !connections()->stands(frame->file)) {
      connections()->drop(frame->file);
      continue;
    }
    size_t& n_topics = connections()->n_topics(frame->file);
    if (frame->bytes[0] == 1) {
      ++n_topics;
    } else if (n_topics > 0) {
      --n_topics;
    }
    if (n_topics > kTopicsMax) {
      connections()->drop(frame->file);
      ++heard.n_passed_over;
    } else if (!apply(*frame, may_subscribe)) {
      ++heard.n_passed_over;
    }
  }
  return heard;
}

// A subscription is 1 and the topic, its end 0 and the topic.
bool PublisherSocket::apply(const Frame& frame, const MaySubscribe& may_subscribe) try {
  const std::string topic = frame.bytes.substr(1);
  if (!may_subscribe || !may_subscribe(sender(), topic)) return false;
  if (frame.bytes[0] == 1) {
    socket().set(zmq::sockopt::subscribe, topic);
  } else {
    socket().set(zmq::sockopt::unsubscribe, topic);
  }
  return true;
} catch (const zmq::error_t&) {
  return false;
}

Result<void> PublisherSocket::publish(const std::string& topic, const Message& message) {
  if (!is_guarded()) hear_subscriptions();
  const bool is_partial = std::holds_alternative<Partial>(message);
  return send_message(&topic, message, {.all = is_partial ? kPartialsBytesMax : kPublishedBytesMax});
}

Result<SubscriberSocket> SubscriberSocket::connect(NetContext& context, const std::string& endpoint,
                                                   const SocketOptions& options) {
  TANDEM_ASSIGN(Socket socket, Socket::connect(context, Type::kSub, endpoint, options));
  return SubscriberSocket(std::move(socket));
}

Result<void> SubscriberSocket::subscribe(const std::string& topic) try {
  socket().set(zmq::sockopt::subscribe, topic);
  return {};
} catch (const zmq::error_t& error) {
  return fail(ErrorCode::kIo, "endpoint '" + endpoint() + "': cannot subscribe: " + error.what());
}

Result<void> SubscriberSocket::unsubscribe(const std::string& topic) try {
  socket().set(zmq::sockopt::unsubscribe, topic);
  return {};
} catch (const zmq::error_t& error) {
  return fail(ErrorCode::kIo, "endpoint '" + endpoint() + "': cannot unsubscribe: " + error.what());
}

std::optional<SubscriberSocket::Published> SubscriberSocket::receive() {
  std::string topic;
  auto message = receive_message(&topic);
  if (!message) return std::nullopt;
  return Published{std::move(topic), std::move(*message)};
}

}  // namespace tandem
