#include "shared/net/sockets.h"

#include <zmq.hpp>

namespace tandem {

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
  TANDEM_ASSIGN(Socket socket, Socket::bind(context, Type::kXPub, endpoint, options));
  return PublisherSocket(std::move(socket));
}

Result<void> PublisherSocket::publish(const std::string& topic, const Message& message) {
  // Subscriptions arrive as messages that ZeroMQ has already acted on; unread ones would pile up.
  try {
    zmq::message_t subscription;
    while (socket().recv(subscription, zmq::recv_flags::dontwait)) {
    }
  } catch (const zmq::error_t&) {
    // A signal: the rest is for the next time.
  }
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
