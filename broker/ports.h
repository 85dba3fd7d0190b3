// The broker's four sockets: what was heard becomes events, what was decided is sent.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "broker/doorkeeper.h"
#include "broker/plan.h"
#include "shared/base/result.h"
#include "shared/base/wake.h"
#include "shared/net/sockets.h"

namespace tandem::broker {

struct PortsConfig {
  std::string submit;       // clients: Submit, Fetch, Cancel, Status
  std::string work;         // workers: Hello, Heartbeat and so on; jobs to them
  std::string results_in;   // workers: results and parts
  std::string results_out;  // results and parts to clients, by topic
  // What one turn hears from each of the three doors, at most. The rest waits in the sockets, whose queues
  // are bounded, and in the end with the senders.
  uint32_t turn_messages_max = 1'000;
  uint64_t turn_bytes_max = 32u << 20;
  // With keys every tcp socket speaks CURVE, and roles.h says who may say what. ipc is as it was: whoever may
  // open the socket's file is trusted with everything.
  SecurityConfig security;
};

struct PortsCounters {
  uint64_t unreadable = 0;  // messages that were none
  uint64_t unsent = 0;      // messages for peers that are gone or do not read
  uint64_t forbidden = 0;   // messages and subscriptions that their sender's key does not allow
};

// One thread. Never waits for a peer: what cannot be sent at once is dropped and counted, because every
// message to a peer is asked for again or made good by time (DESIGN, "Wire").
class Ports {
 public:
  // kInvalid, kExists (in use), kNotFound (no such folder) or kIo, with the socket's name and endpoint, or
  // the key file's name and path.
  static Result<Ports> open(NetContext& context, const PortsConfig& config);

  // Waits until something can be read, one of the wakes is set or `time` has passed; then reads what is
  // there, up to the limits. A client whose message cannot be read is told so.
  std::vector<Event> receive(Duration time, Wake& stop, Wake& written);

  // Whether it was sent, or queued.
  bool send(const Address& to, const Message& message);
  // Whether a message of so many bytes would be. If not it counts as one that was dropped.
  bool has_room(const Address& to, size_t n_bytes);
  void publish(const std::string& client, const Message& message);

  const PortsCounters& counters() const { return counters_; }
  // Connections that were not let in; 0 without keys.
  uint64_t connections_refused() const { return doorkeeper_ ? doorkeeper_->n_refused() : 0; }
  // "submit=ipc://... work=... results_in=... results_out=...", with the ports that the system chose.
  std::string endpoints() const;

 private:
  Ports(const PortsConfig& config, std::unique_ptr<Doorkeeper> doorkeeper, RouterSocket submit,
        RouterSocket work, PullSocket results_in, PublisherSocket results_out);
  RouterSocket& socket_of(Door door);
  void read_router(RouterSocket& socket, Door door, std::vector<Event>& events);
  void read_results(std::vector<Event>& events);
  // Event::only_client of a message that may pass. Guarded sockets only; the others let everything pass.
  Result<std::string> check(Socket& socket, Message& message);
  void drop_connections(const std::string& key);
  void follow_the_list();
  void hear_subscriptions();

  PortsConfig config_;
  std::unique_ptr<Doorkeeper> doorkeeper_;  // null without keys; outlives the sockets
  RouterSocket submit_;
  RouterSocket work_;
  PullSocket results_in_;
  PublisherSocket results_out_;
  PortsCounters counters_;
};

}  // namespace tandem::broker
