#include "shared/net/sockets.h"

#include <zmq.hpp>

namespace tandem {
namespace {

// All that a publisher is sent: one byte and a topic, besides what a handshake takes.
constexpr size_t kSubscriptionBytesMax = 1024;
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
  own.message_bytes_max = kSubscriptionBytesMax;
  TANDEM_ASSIGN(Socket socket, Socket::bind(context, Type::kXPub, endpoint, own));
  return PublisherSocket(std::move(socket));
}

// A subscription is 1 and the topic, its end 0 and the topic.
size_t PublisherSocket::hear_subscriptions(const MaySubscribe& may_subscribe) {
  size_t n_passed_over = 0;
  for (size_t n = 0; n < kSubscriptionsMax; ++n) {
    const auto frame = receive_frame();
    if (!frame) break;
    // ZeroMQ has already acted on it.
    if (!is_guarded() || frame->empty()) continue;
    const std::string topic = frame->substr(1);
    try {
      if (frame->front() == 0) {
        socket().set(zmq::sockopt::unsubscribe, topic);
      } else if (may_subscribe && may_subscribe(sender(), topic)) {
        socket().set(zmq::sockopt::subscribe, topic);
      } else {
        ++n_passed_over;
      }
    } catch (const zmq::error_t&) {
      ++n_passed_over;  // its peer is gone
    }
  }
  return n_passed_over;
}

Result<void> PublisherSocket::publish(const std::string& topic, const Message& message) {
  if (!is_guarded()) hear_subscriptions();
  return send_message(&topic, message);
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
