#include "client/library/ports.h"

#include "client/library/version.h"
#include "shared/net/wait.h"

namespace tandem {
namespace {

constexpr size_t kTakenMax = 1000;  // messages of one socket in one receive()

}  // namespace

Result<ClientPorts> ClientPorts::open(const std::string& submit_endpoint, const std::string& results_endpoint,
                                      const std::string& name, const std::optional<ClientKeys>& keys) {
  auto context = std::make_unique<NetContext>();
  SocketOptions options;
  options.queue_max = 10'000;          // results beyond it are missed, and fetched later
  options.linger = milliseconds(200);  // a Cancel at the very end still goes out
  options.connected_only = true;
  options.client_keys = keys;
  TANDEM_ASSIGN(auto submit, DealerSocket::connect(*context, submit_endpoint, options));
  TANDEM_ASSIGN(auto results, SubscriberSocket::connect(*context, results_endpoint, options));
  TANDEM_TRY(results.subscribe(name + "/"));
  return ClientPorts(std::move(context), std::move(submit), std::move(results));
}

bool ClientPorts::writable() {
  return wait({Waitable::room(submit_)}, Duration{});
}

void ClientPorts::send(const Message& message) {
  (void)submit_.send(message);
}

std::vector<Message> ClientPorts::receive(Duration at_most, bool want_write) {
  if (want_write) {
    wait({submit_, results_, Waitable::room(submit_)}, at_most);
  } else {
    wait({submit_, results_}, at_most);
  }
  std::vector<Message> messages;
  for (size_t n = 0; n < kTakenMax; ++n) {
    auto message = submit_.receive();
    if (!message) break;
    if (*message) {
      messages.push_back(std::move(**message));
    } else if (auto refused = refused_version(message->error())) {
      messages.push_back(std::move(*refused));
    }
  }
  for (size_t n = 0; n < kTakenMax; ++n) {
    auto published = results_.receive();
    if (!published) break;
    if (published->message) messages.push_back(std::move(*published->message));
  }
  return messages;
}

}  // namespace tandem
