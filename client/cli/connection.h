// How a verb gets to a broker: the one it is told of, or an embedded one.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "client/cli/embedded.h"
#include "client/include/tandem/client.h"

namespace CLI {
class App;
}

namespace tandem::cli {

struct ConnectionOptions {
  std::string broker;  // "SUBMIT,RESULTS" endpoints, or a folder with the sockets
  std::string config;  // client.toml
  std::vector<std::string> sets;
  EmbeddedOptions embedded;
  bool no_cache = false;
  std::string name_without_key;                 // the client's name where neither the verb nor a key has one
  Duration patience = std::chrono::seconds(5);  // for the broker's first answer
};

// --broker, --config, --set, and for verbs that bring their own broker if need be --model, --cache, ...
void add_connection_options(CLI::App& app, ConnectionOptions& options, bool may_embed);

class Connection {
 public:
  // Looked for in this order: --broker, --config, TANDEM_BROKER, client.toml in $XDG_CONFIG_HOME/tandem or
  // ~/.config/tandem. None of them: an embedded broker, or where the verb has none, the endpoints that
  // tandem-broker has when nobody says otherwise. Returns when the broker has answered: kUnavailable says
  // what was tried and what to do.
  // `client` has what the verb wants of it; the endpoints are found here. kUnavailable also for a broker
  // that speaks another version of the protocol.
  static Result<Connection> open(const ConnectionOptions& options, bool may_embed, ClientOptions client,
                                 const std::function<bool()>& stop);

  Client& client() { return *client_; }
  // The broker's submit endpoint.
  const std::string& where() const { return where_; }
  bool embedded() const { return embedded_ != nullptr; }
  // Of the embedded programs; always good otherwise, because a broker that is away may come back.
  Result<void> alive() { return embedded_ ? embedded_->alive() : Result<void>(); }

 private:
  Connection() = default;

  std::string where_;
  std::unique_ptr<Embedded> embedded_;  // outlives the client
  std::unique_ptr<Client> client_;
};

}  // namespace tandem::cli
