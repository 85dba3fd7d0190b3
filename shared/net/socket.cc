#include "shared/net/socket.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <utility>
#include <zmq.hpp>

#include "shared/net/endpoint.h"
#include "shared/net/handshake_watch.h"
#include "shared/net/ipc_guard.h"
#include "shared/net/peer_connections.h"
#include "shared/net/zap.h"

namespace tandem {
namespace {

// Above this a frame is handed to ZeroMQ without a copy, and counted until ZeroMQ lets it go.
constexpr size_t kCopyBytesMax = 1024;
// A connection that has not said who it is by then is closed. ZeroMQ's own 30 s are long for somebody who
// connects in order to hold memory.
constexpr int kHandshakeMs = 10'000;

// Bytes that ZeroMQ's own thread deletes once they are sent. Its queue orders the two threads; `handed_over`
// says the same in words that ThreadSanitizer understands, which cannot see into the library.
struct HandedOver {
  std::string bytes;
  std::shared_ptr<HeldBytes> held;
  std::atomic<bool> handed_over{false};
};

bool is_counted(const std::string& bytes) {
  return bytes.size() > kCopyBytesMax;
}

zmq::message_t to_frame(std::string bytes, const std::shared_ptr<HeldBytes>& held) {
  if (!is_counted(bytes)) return zmq::message_t(bytes.data(), bytes.size());
  auto* kept = new HandedOver{std::move(bytes), held};
  held->add(kept->bytes.size());
  zmq::message_t frame(
      kept->bytes.data(), kept->bytes.size(),
      [](void*, void* hint) {
        auto* sent = static_cast<HandedOver*>(hint);
        if (!sent->handed_over.load(std::memory_order_acquire)) return;
        sent->held->take(sent->bytes.size());
        delete sent;
      },
      kept);
  kept->handed_over.store(true, std::memory_order_release);
  return frame;
}

std::string_view view(const zmq::message_t& frame) {
  return {static_cast<const char*>(frame.data()), frame.size()};
}

// The frame's memory, kept by whoever keeps a part of it.
Bytes to_bytes(zmq::message_t frame) {
  if (frame.size() == 0) return {};
  const auto owner = std::make_shared<zmq::message_t>(std::move(frame));
  return {owner, view(*owner)};
}

tl::unexpected<Error> fail_at(const std::string& endpoint, const zmq::error_t& error) {
  const std::string place = "endpoint '" + endpoint + "': ";
  switch (error.num()) {
    case EADDRINUSE:
      return fail(ErrorCode::kExists, place + "expected a free port, found it in use by another program");
    case EADDRNOTAVAIL:
    case ENODEV:
      return fail(ErrorCode::kInvalid, place + "expected an address of this machine, found another");
    case EINVAL:
      return fail(ErrorCode::kInvalid, place + "ZeroMQ cannot read this address");
    default:
      return fail(ErrorCode::kIo, place + error.what());
  }
}

}  // namespace

// ZeroMQ leaves the file of an ipc socket behind, and closes it a moment later on its own thread. Without the
// file nobody can mistake the socket that is going for one that is there.
class Socket::IpcGuard {
 public:
  IpcGuard(FileLock lock, std::string path) : lock_(std::move(lock)), path_(std::move(path)) {}
  ~IpcGuard() { ::unlink(path_.c_str()); }
  IpcGuard(const IpcGuard&) = delete;
  IpcGuard& operator=(const IpcGuard&) = delete;

 private:
  FileLock lock_;  // let go after the file is gone
  std::string path_;
};

Socket::Socket(std::unique_ptr<zmq::socket_t> socket, std::unique_ptr<IpcGuard> guard, std::string endpoint)
    : guard_(std::move(guard)),
      socket_(std::move(socket)),
      endpoint_(std::move(endpoint)),
      held_(std::make_unique<HeldByPeer>()) {}
Socket::Socket(Socket&&) noexcept = default;
Socket::~Socket() = default;

Socket& Socket::operator=(Socket&& other) noexcept {
  socket_ = std::move(other.socket_);  // closes the old socket before its guard goes
  guard_ = std::move(other.guard_);
  endpoint_ = std::move(other.endpoint_);
  connections_ = std::move(other.connections_);
  handshakes_ = std::move(other.handshakes_);
  held_ = std::move(other.held_);
  sender_ = std::move(other.sender_);
  peer_version_ = other.peer_version_;
  unreadable_request_ = other.unreadable_request_;
  owner_ = std::move(other.owner_);
  return *this;
}

std::unique_ptr<zmq::socket_t> Socket::make(NetContext& context, Type type, const SocketOptions& options,
                                            bool tcp, bool ipv6) {
  constexpr std::array kTypes = {zmq::socket_type::dealer, zmq::socket_type::router, zmq::socket_type::push,
                                 zmq::socket_type::pull,   zmq::socket_type::xpub,   zmq::socket_type::sub};
  auto socket = std::make_unique<zmq::socket_t>(context.get(), kTypes.at(static_cast<size_t>(type)));
  socket->set(zmq::sockopt::sndhwm, options.queue_max);
  socket->set(zmq::sockopt::rcvhwm, options.queue_max);
  socket->set(zmq::sockopt::maxmsgsize, static_cast<int64_t>(options.message_bytes_max));
  socket->set(zmq::sockopt::linger, static_cast<int>(options.linger.count()));
  socket->set(zmq::sockopt::immediate, options.connected_only);
  socket->set(zmq::sockopt::reconnect_ivl, 50);
  socket->set(zmq::sockopt::reconnect_ivl_max, 1000);
  if (type == Type::kRouter) socket->set(zmq::sockopt::router_mandatory, true);
  if (ipv6) socket->set(zmq::sockopt::ipv6, true);
  if (tcp) {
    const int heartbeat_ms = static_cast<int>(options.heartbeat.count());
    socket->set(zmq::sockopt::heartbeat_ivl, heartbeat_ms);
    socket->set(zmq::sockopt::heartbeat_timeout, 2 * heartbeat_ms);
    socket->set(zmq::sockopt::handshake_ivl, kHandshakeMs);
  }
  return socket;
}

Result<Socket> Socket::bind(NetContext& context, Type type, const std::string& endpoint,
                            const SocketOptions& options) try {
  TANDEM_ASSIGN(Endpoint parsed, parse_endpoint(endpoint));
  TANDEM_TRY(check_bindable(parsed, options.server_keys.has_value()));
  if (parsed.host == "localhost") parsed.host = "127.0.0.1";  // ZeroMQ binds to addresses only
  const bool tcp = parsed.transport == Endpoint::Transport::kTcp;
  // ZeroMQ would let in whoever has any key at all.
  if (tcp && options.server_keys && !context.has_zap_handler()) {
    return fail(ErrorCode::kInvalid,
                "endpoint '" + endpoint + "': expected a ZapHandler in the context, found none");
  }
  std::unique_ptr<IpcGuard> guard;
  if (!tcp) {
    TANDEM_ASSIGN(FileLock lock, guard_ipc_path(parsed.path));
    guard = std::make_unique<IpcGuard>(std::move(lock), parsed.path);
  }
  auto socket = make(context, type, options, tcp, parsed.host.find(':') != std::string::npos);
  std::unique_ptr<PeerConnections> connections;
  if (tcp && options.server_keys) {
    socket->set(zmq::sockopt::curve_server, true);
    socket->set(zmq::sockopt::curve_secretkey, options.server_keys->secret_key.reveal());
    socket->set(zmq::sockopt::zap_domain, kZapDomain);
    connections = std::make_unique<PeerConnections>();
    if (type == Type::kXPub) {
      socket->set(zmq::sockopt::xpub_manual, true);
      connections->watch_ends(context.get(), *socket);
    }
  }
  socket->bind(parsed.to_string());
  std::string bound = socket->get(zmq::sockopt::last_endpoint);
  Socket made(std::move(socket), std::move(guard), std::move(bound));
  if (connections != nullptr) {
    TANDEM_ASSIGN(const Endpoint real, parse_endpoint(made.endpoint_));
    connections->set_port(real.port);
    made.connections_ = std::move(connections);
  }
  return made;
} catch (const zmq::error_t& error) {
  return fail_at(endpoint, error);
}

Result<Socket> Socket::connect(NetContext& context, Type type, const std::string& endpoint,
                               const SocketOptions& options) try {
  TANDEM_ASSIGN(const Endpoint parsed, parse_endpoint(endpoint));
  const bool tcp = parsed.transport == Endpoint::Transport::kTcp;
  if (tcp && parsed.port == 0) {
    return fail(ErrorCode::kInvalid, "endpoint '" + endpoint + "': expected a port from 1 to 65535, found 0");
  }
  if (!parsed.is_local() && !options.client_keys) {
    return fail(ErrorCode::kInvalid,
                "endpoint '" + endpoint +
                    "': expected keys (security.key_file and security.server_key) for an address "
                    "on another machine, found none; `tandem keygen --help` tells how to make them");
  }
  auto socket = make(context, type, options, tcp, parsed.host.find(':') != std::string::npos);
  std::unique_ptr<HandshakeWatch> handshakes;
  if (tcp && options.client_keys) {
    const ClientKeys& keys = *options.client_keys;
    socket->set(zmq::sockopt::curve_serverkey, keys.server_key);
    socket->set(zmq::sockopt::curve_publickey, keys.own.public_key);
    socket->set(zmq::sockopt::curve_secretkey, keys.own.secret_key.reveal());
  }
  if (tcp && type == Type::kDealer) {
    handshakes = std::make_unique<HandshakeWatch>(
        context.get(), *socket, options.client_keys ? options.client_keys->own.public_key : "");
  }
  socket->connect(parsed.to_string());
  Socket made(std::move(socket), nullptr, parsed.to_string());
  made.handshakes_ = std::move(handshakes);
  return made;
} catch (const zmq::error_t& error) {
  return fail_at(endpoint, error);
}

void Socket::drop_connections(const std::string& key) {
  owner_.check();
  if (connections_ != nullptr) connections_->drop(key);
}

std::optional<Error> Socket::handshake_problem() try {
  owner_.check();
  if (handshakes_ == nullptr) return {};
  return handshakes_->problem(endpoint_);
} catch (const zmq::error_t&) {
  return {};  // a signal: the next time
}

// ZeroMQ keeps with every message what the ZapHandler said of its connection.
int Socket::note_sender(void* frame) {
  if (connections_ == nullptr) return -1;
  auto* message = static_cast<zmq_msg_t*>(frame);
  const char* key = ::zmq_msg_gets(message, "User-Id");
  sender_ = key == nullptr ? "" : key;
  const int file = ::zmq_msg_get(message, ZMQ_SRCFD);
  if (file >= 0) connections_->note(file, sender_);
  return file;
}

std::optional<Socket::Frame> Socket::receive_frame() {
  owner_.check();
  for (;;) {
    try {
      zmq::message_t frame;
      if (!socket_->recv(frame, zmq::recv_flags::dontwait)) return std::nullopt;
      const int file = note_sender(frame.handle());
      return Frame{frame.to_string(), frame.more(), file};
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) return std::nullopt;
    }
  }
}

Result<void> Socket::send_message(const std::string* first, const Message& message, HeldBytesMax max) {
  return send_frames(first, encode(message), kind_name(message), max);
}

Result<void> Socket::send_frames(const std::string* first, Frames frames, std::string_view kind,
                                 HeldBytesMax max) try {
  owner_.check();
  // Whoever reads would cut the connection.
  if (frames.envelope.size() > limits::kMessageBytesMax ||
      frames.payload.size() > limits::kMessageBytesMax - frames.envelope.size()) {
    return fail(ErrorCode::kTooLong, "endpoint '" + endpoint_ + "': expected a " + std::string(kind) +
                                         " message of at most " + std::to_string(limits::kMessageBytesMax) +
                                         " bytes, found " +
                                         std::to_string(frames.envelope.size() + frames.payload.size()));
  }
  const size_t n_counted = (is_counted(frames.envelope) ? frames.envelope.size() : 0) +
                           (is_counted(frames.payload) ? frames.payload.size() : 0);
  const auto held =
      n_counted > 0 && first != nullptr && max.peer != SIZE_MAX ? held_->of(*first) : held_->all();
  const bool is_too_much_for_peer = held != held_->all() && held->count() + n_counted > max.peer;
  if (n_counted > 0 && (is_too_much_for_peer || held_->all()->count() + n_counted > max.all)) {
    return fail(ErrorCode::kFull, "endpoint '" + endpoint_ + "': too many bytes wait to be sent for a " +
                                      std::string(kind) + " message");
  }
  const auto flags = zmq::send_flags::dontwait | zmq::send_flags::sndmore;
  // Only the first frame can be refused; a message goes whole or not at all.
  zmq::message_t opening =
      first != nullptr ? zmq::message_t(first->data(), first->size()) : to_frame(frames.head, held);
  if (!socket_->send(opening, flags)) {
    return fail(ErrorCode::kFull,
                "endpoint '" + endpoint_ + "': the queue for " + std::string(kind) + " messages is full");
  }
  if (first != nullptr) socket_->send(to_frame(std::move(frames.head), held), flags);
  socket_->send(to_frame(std::move(frames.envelope), held), flags);
  socket_->send(to_frame(std::move(frames.payload), held), zmq::send_flags::dontwait);
  return {};
} catch (const zmq::error_t& error) {
  if (error.num() == EHOSTUNREACH) {
    return fail(ErrorCode::kUnavailable, "endpoint '" + endpoint_ + "': the peer is gone");
  }
  return fail(ErrorCode::kIo, "endpoint '" + endpoint_ + "': " + error.what());
}

bool Socket::fits(const std::string& peer, size_t n_bytes, HeldBytesMax max) const {
  return held_->all()->count() + n_bytes <= max.all && held_->count_of(peer) + n_bytes <= max.peer;
}

std::optional<Result<Message>> Socket::receive_message(std::string* first) try {
  owner_.check();
  // All frames are read, so that the next call begins with the next message; those too many are let go.
  std::array<zmq::message_t, 4> frames;
  const size_t n_expected = first != nullptr ? 4 : 3;
  size_t n_frames = 0;
  for (bool more = true; more; ++n_frames) {
    zmq::message_t frame;
    if (!socket_->recv(frame, zmq::recv_flags::dontwait)) return std::nullopt;
    more = frame.more();
    if (!more) note_sender(frame.handle());
    if (n_frames < frames.size()) frames[n_frames] = std::move(frame);
  }
  if (first != nullptr) *first = frames[0].to_string();
  peer_version_ = 0;
  unreadable_request_ = 0;
  if (n_frames != n_expected) {
    const size_t n_before = first != nullptr ? 1 : 0;
    return fail(ErrorCode::kInvalid, "expected a message of 3 frames (head, envelope, payload), found " +
                                         std::to_string(n_frames - n_before));
  }
  const size_t at = n_expected - 3;
  peer_version_ = version_of(view(frames[at]));
  auto message = decode(view(frames[at]), view(frames[at + 1]), to_bytes(std::move(frames[at + 2])));
  if (!message) unreadable_request_ = request_of(view(frames[at]), view(frames[at + 1]));
  return message;
} catch (const zmq::error_t& error) {
  if (error.num() == EINTR) return std::nullopt;
  return fail(ErrorCode::kIo, "endpoint '" + endpoint_ + "': " + error.what());
}

}  // namespace tandem
