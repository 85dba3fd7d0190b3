// The settings of tandem-broker. configs/broker.toml has them all with their defaults.

#pragma once

#include <string>

#include "broker/broker.h"
#include "broker/dispatcher.h"
#include "broker/lmdb_journal.h"
#include "broker/ports.h"
#include "shared/base/result.h"
#include "shared/config/config_reader.h"
#include "shared/metrics/metrics_server.h"

namespace tandem::broker {

struct BrokerConfig {
  PortsConfig ports;
  LmdbJournalOptions journal;
  DispatcherConfig dispatcher;
  TurnConfig turn;
  MetricsConfig metrics;
  std::string log_level = "info";

  BrokerConfig();  // the defaults that depend on the user: sockets in run_dir(), journal in state_dir()
};

// All mistakes at once, each with its place. `printed`, if given, receives the settings in effect as TOML.
Result<BrokerConfig> load_config(const ConfigSources& sources, std::string* printed = nullptr);

}  // namespace tandem::broker
