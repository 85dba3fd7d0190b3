#include "client/cli/connection.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "shared/base/places.h"
#include "shared/config/config_reader.h"

namespace tandem::cli {
namespace {

namespace fs = std::filesystem;

struct Endpoints {
  std::string submit = default_endpoint("submit");
  std::string results = default_endpoint("results-out");
  std::optional<ClientKeys> keys;
};

Endpoints in_folder(const fs::path& folder) {
  return {"ipc://" + (folder / "submit").string(), "ipc://" + (folder / "results-out").string(), {}};
}

Result<Endpoints> parse_broker(const std::string& text) {
  const size_t comma = text.find(',');
  if (comma != std::string::npos) return Endpoints{text.substr(0, comma), text.substr(comma + 1), {}};
  if (text.find("://") == std::string::npos) return in_folder(fs::absolute(text));
  return fail(ErrorCode::kInvalid,
              "--broker: expected two endpoints, SUBMIT,RESULTS, such as "
              "tcp://127.0.0.1:5555,tcp://127.0.0.1:5558, or a folder of sockets, found '" +
                  text + "'");
}

Result<Endpoints> load_config(const fs::path& file, const std::vector<std::string>& sets) {
  ConfigSources sources;
  sources.file = file;
  sources.sets = sets;
  TANDEM_ASSIGN(auto reader, ConfigReader::open(sources));
  Endpoints endpoints;
  reader.key("client.submit", endpoints.submit, "where jobs go: the broker's submit endpoint");
  reader.key("client.results", endpoints.results,
             "where results come from: the broker's results_out endpoint");
  fs::path key_file;
  std::string server_key;
  reader.key("security.key_file", key_file, "for tcp: this client's key, from `tandem keygen`");
  reader.key("security.server_key", server_key, "for tcp: the broker's public key, or a file with it");
  TANDEM_TRY(reader.finish());
  TANDEM_ASSIGN(endpoints.keys, load_client_keys(key_file, server_key));
  return endpoints;
}

fs::path user_config() {
  if (const char* xdg = std::getenv("XDG_CONFIG_HOME"); xdg != nullptr && *xdg == '/') {
    return fs::path(xdg) / "tandem/client.toml";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return fs::path(home) / ".config/tandem/client.toml";
  }
  return {};
}

// Nothing: nobody named a broker.
Result<std::optional<Endpoints>> configured(const ConnectionOptions& options) {
  const auto some = [](Result<Endpoints> endpoints) -> Result<std::optional<Endpoints>> {
    if (!endpoints) return fail(std::move(endpoints).error());
    return std::optional(std::move(*endpoints));
  };
  if (!options.broker.empty()) {
    auto endpoints = parse_broker(options.broker);
    if (!endpoints || options.sets.empty()) return some(std::move(endpoints));
    TANDEM_ASSIGN(Endpoints set, load_config({}, options.sets));
    endpoints->keys = std::move(set.keys);
    return some(std::move(endpoints));
  }
  if (!options.config.empty() || !options.sets.empty())
    return some(load_config(options.config, options.sets));
  if (const char* broker = std::getenv("TANDEM_BROKER"); broker != nullptr && *broker != '\0') {
    return some(parse_broker(broker));
  }
  std::error_code ignored;
  if (const fs::path file = user_config(); !file.empty() && fs::exists(file, ignored)) {
    return some(load_config(file, {}));
  }
  return std::optional<Endpoints>();
}

}  // namespace

void add_connection_options(CLI::App& app, ConnectionOptions& options, bool may_embed) {
  const std::string group = "Broker";
  auto* broker = app.add_option("--broker", options.broker,
                                "The broker's SUBMIT,RESULTS endpoints, or the folder of its sockets")
                     ->type_name("ENDPOINTS")
                     ->group(group);
  app.add_option("--config", options.config, "Settings, such as configs/client.toml")
      ->type_name("FILE")
      ->check(CLI::ExistingFile)
      ->excludes(broker)
      ->group(group);
  app.add_option("--set", options.sets, "One setting, such as client.submit=ipc:///run/tandem/submit")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->group(group);
  if (!may_embed) return;
  const std::string own = "Without a broker (a private one and a worker are started)";
  app.add_option("--model", options.embedded.model,
                 "Model folder in Hugging Face layout [the demonstration model]")
      ->type_name("DIR")
      ->excludes(broker)
      ->group(own);
  app.add_option("--worker-config", options.embedded.worker_config, "Settings of the worker")
      ->type_name("FILE")
      ->check(CLI::ExistingFile)
      ->excludes(broker)
      ->group(own);
  auto* cache =
      app.add_option("--cache", options.embedded.cache, "Folder of the answer cache [~/.cache/tandem]")
          ->type_name("DIR")
          ->excludes(broker)
          ->group(own);
  app.add_flag("--no-cache", options.no_cache, "Answer everything with the model")
      ->excludes(cache)
      ->group(own);
}

Result<Connection> Connection::open(const ConnectionOptions& options, bool may_embed, ClientOptions client,
                                    const std::function<bool()>& stop) {
  Connection connection;
  TANDEM_ASSIGN(std::optional<Endpoints> endpoints, configured(options));
  if (!endpoints && may_embed) {
    EmbeddedOptions embedded = options.embedded;
    embedded.use_cache = !options.no_cache;
    TANDEM_ASSIGN(connection.embedded_, Embedded::start(embedded, stop));
    endpoints = in_folder(connection.embedded_->folder());
  }
  if (!connection.embedded_ && !options.embedded.model.empty()) {
    return fail(ErrorCode::kInvalid,
                "--model: the broker that is configured has its own workers with their own model; "
                "start a worker with it: tandem-worker --model DIR");
  }
  if (!endpoints) endpoints.emplace();

  client.submit_endpoint = connection.where_ = endpoints->submit;
  client.results_endpoint = endpoints->results;
  client.keys = endpoints->keys;
  if (client.name.empty() && !client.keys) client.name = options.name_without_key;
  TANDEM_ASSIGN(connection.client_, Client::open(client));

  SystemClock clock;
  const TimePoint until = clock.now() + options.patience;
  while (clock.now() < until) {
    if (stop()) return fail(ErrorCode::kCancelled, "interrupted");
    TANDEM_TRY(connection.alive());
    auto status = connection.client_->status(std::min<Duration>(milliseconds(500), until - clock.now()));
    if (status) return connection;
    if (status.error().code == ErrorCode::kUnsupported) {
      return fail(ErrorCode::kUnavailable, status.error().text);
    }
    if (status.error().code != ErrorCode::kTimeout) return fail(std::move(status).error());
  }
  return fail(
      ErrorCode::kUnavailable,
      "no broker answers at " + endpoints->submit +
          "\nIs tandem-broker running, and with this endpoint? --broker or --config names another one" +
          (may_embed ? "; with none configured, a private broker is started for the run." : "."));
}

}  // namespace tandem::cli
