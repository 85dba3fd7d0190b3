#include "broker/ports.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "broker/roles.h"
#include "shared/net/wait.h"

namespace tandem::broker {
namespace {

size_t bytes_of(const Message& message) {
  constexpr size_t kItemBytes = 64;
  return std::visit(
      [](const auto& m) {
        size_t n_bytes = kItemBytes;
        if constexpr (requires { m.items; }) {
          for (const auto& item : m.items) {
            n_bytes += kItemBytes;
            if constexpr (requires { item.payload; }) n_bytes += item.payload.size();
          }
        }
        return n_bytes;
      },
      message);
}

// The number that an answer to `message` carries back.
uint64_t request_of(const Message& message) {
  return std::visit(
      [](const auto& m) -> uint64_t {
        if constexpr (requires { m.request; }) return m.request;
        return 0;
      },
      message);
}

// What is left of a door's share of the turn.
struct Allowance {
  uint32_t n_messages;
  uint64_t n_bytes;

  explicit Allowance(const PortsConfig& config)
      : n_messages(config.turn_messages_max), n_bytes(config.turn_bytes_max) {}
  bool is_spent() const { return n_messages == 0 || n_bytes == 0; }
  void spend(size_t bytes) {
    --n_messages;
    n_bytes -= std::min<uint64_t>(bytes, n_bytes);
  }
};

}  // namespace

Ports::Ports(const PortsConfig& config, std::unique_ptr<Doorkeeper> doorkeeper, RouterSocket submit,
             RouterSocket work, PullSocket results_in, PublisherSocket results_out)
    : config_(config),
      doorkeeper_(std::move(doorkeeper)),
      submit_(std::move(submit)),
      work_(std::move(work)),
      results_in_(std::move(results_in)),
      results_out_(std::move(results_out)) {}

Result<Ports> Ports::open(NetContext& context, const PortsConfig& config) {
  TANDEM_ASSIGN(auto doorkeeper, Doorkeeper::open(context, config.security));
  SocketOptions options;
  if (doorkeeper) options.server_keys = doorkeeper->keys();
  auto submit = RouterSocket::bind(context, config.submit, options);
  if (!submit) return fail_in("submit socket", std::move(submit).error());
  auto work = RouterSocket::bind(context, config.work, options);
  if (!work) return fail_in("work socket", std::move(work).error());
  auto results_in = PullSocket::bind(context, config.results_in, options);
  if (!results_in) return fail_in("results_in socket", std::move(results_in).error());
  auto results_out = PublisherSocket::bind(context, config.results_out, options);
  if (!results_out) return fail_in("results_out socket", std::move(results_out).error());
  return Ports(config, std::move(doorkeeper), std::move(*submit), std::move(*work), std::move(*results_in),
               std::move(*results_out));
}

std::vector<Event> Ports::receive(Duration time, Wake& stop, Wake& written) {
  if (doorkeeper_) {
    wait({work_, results_in_, submit_, results_out_, stop, written, doorkeeper_->changed()}, time);
    follow_the_list();
    hear_subscriptions();
  } else {
    // Also where nothing is published for long: ZeroMQ frees what it holds of connections that came and went
    // when their socket is used.
    wait({work_, results_in_, submit_, results_out_, stop, written}, time);
    results_out_.hear_subscriptions();
  }
  // Workers first: what they say makes room for what clients bring. And heartbeats before results, in the
  // order in which a worker sends them.
  std::vector<Event> events;
  read_router(work_, Door::kWork, events);
  read_results(events);
  read_router(submit_, Door::kSubmit, events);
  return events;
}

void Ports::read_router(RouterSocket& socket, Door door, std::vector<Event>& events) {
  for (Allowance allowance(config_); !allowance.is_spent();) {
    auto received = socket.receive();
    if (!received) return;
    if (!received->message) {
      ++counters_.unreadable;
      allowance.spend(0);
      // Whoever speaks another version is told so in its own; a worker is told nothing else, because what it
      // makes of a refusal is to end.
      Error error = std::move(received->message).error();
      const uint8_t version = socket.peer_version();
      const bool is_other_version = version != 0 && version != kProtocolVersion;
      if (door == Door::kSubmit || is_other_version) {
        if (!socket.refuse(received->peer, Refused{socket.unreadable_request(), std::move(error)},
                           is_other_version ? version : kProtocolVersion)) {
          ++counters_.unsent;
        }
      }
      continue;
    }
    allowance.spend(bytes_of(*received->message));
    auto only_client = check(socket, *received->message);
    if (!only_client) {
      (void)send({door, received->peer},
                 Refused{request_of(*received->message), std::move(only_client).error()});
      continue;
    }
    events.push_back(
        {{door, std::move(received->peer)}, std::move(*received->message), std::move(*only_client)});
  }
}

void Ports::read_results(std::vector<Event>& events) {
  for (Allowance allowance(config_); !allowance.is_spent();) {
    auto received = results_in_.receive();
    if (!received) return;
    if (!*received) {
      ++counters_.unreadable;
      allowance.spend(0);
      continue;
    }
    allowance.spend(bytes_of(**received));
    if (!check(results_in_, **received)) continue;
    events.push_back({{Door::kResults, {}}, std::move(**received)});
  }
}

Result<std::string> Ports::check(Socket& socket, Message& message) {
  if (!socket.is_guarded()) return std::string();
  const PeerName* sender = doorkeeper_->who(socket.sender());
  if (sender == nullptr) {
    // Let in before its line was taken from the list.
    ++counters_.forbidden;
    socket.drop_connections(socket.sender());
    return fail(ErrorCode::kInvalid,
                "expected a key of the broker's allow file, found one that is not in it any more");
  }
  if (auto allowed = check_sender(*sender, message); !allowed) {
    ++counters_.forbidden;
    return fail(std::move(allowed).error());
  }
  return only_client(*sender);
}

void Ports::drop_connections(const std::string& key) {
  submit_.drop_connections(key);
  work_.drop_connections(key);
  results_in_.drop_connections(key);
  results_out_.drop_connections(key);
}

void Ports::follow_the_list() {
  for (const std::string& key : doorkeeper_->refresh()) drop_connections(key);
}

void Ports::hear_subscriptions() {
  const auto heard = results_out_.hear_subscriptions([&](const std::string& key, std::string_view topic) {
    const PeerName* sender = doorkeeper_->who(key);
    return sender != nullptr && may_subscribe(*sender, topic);
  });
  counters_.forbidden += heard.n_passed_over;
  for (const std::string& key : heard.offenders) {
    doorkeeper_->shut_out(key, "what it sent to results_out is no subscription");
    drop_connections(key);
  }
}

RouterSocket& Ports::socket_of(Door door) {
  return door == Door::kSubmit ? submit_ : work_;
}

bool Ports::has_room(const Address& to, size_t n_bytes) {
  if (socket_of(to.door).has_room(to.peer, n_bytes)) return true;
  ++counters_.unsent;
  return false;
}

bool Ports::send(const Address& to, const Message& message) {
  RouterSocket& socket = socket_of(to.door);
  const auto sent = socket.send(to.peer, message);
  if (sent) return true;
  ++counters_.unsent;
  // Asking again would not help.
  if (sent.error().code == ErrorCode::kTooLong && to.door == Door::kSubmit) {
    (void)socket.send(to.peer, Refused{request_of(message), sent.error()});
  }
  return false;
}

void Ports::publish(const std::string& client, const Message& message) {
  if (!results_out_.publish(client + "/", message)) ++counters_.unsent;
}

std::string Ports::endpoints() const {
  return "submit=" + submit_.endpoint() + " work=" + work_.endpoint() +
         " results_in=" + results_in_.endpoint() + " results_out=" + results_out_.endpoint();
}

}  // namespace tandem::broker
