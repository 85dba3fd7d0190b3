// The two sockets of a client: what it says and is answered, and the results as they are published.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/clock.h"
#include "shared/net/sockets.h"

namespace tandem {

// One thread at a time.
class ClientPorts {
 public:
  // Subscribes to "<name>/". kInvalid for an endpoint that cannot be read. The broker may be away.
  static Result<ClientPorts> open(const std::string& submit_endpoint, const std::string& results_endpoint,
                                  const std::string& name, const std::optional<ClientKeys>& keys);

  // Whether a broker is connected and takes messages. None are queued for an absent one.
  bool writable();
  // Only after writable(). May be lost on the way, like any message.
  void send(const Message& message);

  // Socket::handshake_problem() of the submit socket: both sockets have the same key.
  std::optional<Error> handshake_problem() { return submit_.handshake_problem(); }

  // Waits until something comes, a signal arrives, or the time is over; with `want_write` also until
  // writable(). What cannot be read is passed over: the broker's answer is asked for again. Of a broker with
  // another version of the protocol it is Refused, with what it would say of ours (version.h).
  std::vector<Message> receive(Duration at_most, bool want_write);

 private:
  ClientPorts(std::unique_ptr<NetContext> context, DealerSocket submit, SubscriberSocket results)
      : context_(std::move(context)), submit_(std::move(submit)), results_(std::move(results)) {}

  std::unique_ptr<NetContext> context_;  // outlives the sockets
  DealerSocket submit_;
  SubscriberSocket results_;
};

}  // namespace tandem
