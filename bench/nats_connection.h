// As much of the protocol of NATS as the bench of queues needs.

#pragma once

#include <string>
#include <string_view>

#include "bench/byte_stream.h"

namespace tandem::bench {

// Views are valid until the next receive().
struct NatsMessage {
  char subscription = 0;      // as given to subscribe()
  bool status = false;        // has headers and no sender: the server says why no message comes
  std::string_view reply_to;  // where the sender wants to be answered
  std::string_view payload;
};

// One thread. An error of the server ends the benchmark.
class NatsConnection {
 public:
  // Tries for 10 s. kUnavailable then.
  static Result<NatsConnection> connect(uint16_t port);

  // Both add to what flush() sends in one piece. `subscription` is one letter or digit.
  void publish(std::string_view subject, std::string_view reply_to, std::string_view payload);
  void subscribe(std::string_view subject, char subscription);
  void flush();
  // The next message; false when none came within `at_most`. Pings are answered on the way.
  bool receive(NatsMessage& message, std::chrono::milliseconds at_most);
  // A question to the JetStream API, which must succeed; nothing else may be subscribed yet that gets
  // messages.
  void ask(std::string_view subject, std::string_view json);

 private:
  explicit NatsConnection(ByteStream stream) : stream_(std::move(stream)) {}
  enum class Parsed : uint8_t { kNothing, kControl, kMessage };
  Parsed parse(NatsMessage& message);

  ByteStream stream_;
  std::string outgoing_;
  size_t n_consumed_late_ = 0;  // of the message that was received last
};

}  // namespace tandem::bench
