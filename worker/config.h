// The settings of a worker. Every key has its default here, and its line in config.cc.

#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "shared/base/clock.h"
#include "shared/base/places.h"
#include "shared/base/result.h"
#include "shared/config/config_reader.h"
#include "shared/metrics/metrics_server.h"
#include "shared/net/keys.h"

namespace tandem {

struct WorkerConfig {
  std::string name;  // empty: host and process number
  std::string host;  // empty: the machine's name
  std::string work_endpoint = default_endpoint("work");
  std::string results_endpoint = default_endpoint("results-in");
  milliseconds drain{30'000};
  std::string log_level = "info";
  MetricsConfig metrics;

  std::filesystem::path key_file;  // both or none
  std::string server_key;          // the broker's public key, or a file with it
  std::optional<ClientKeys> keys;  // what they hold; complete() reads them

  std::filesystem::path model;  // empty: the shipped demonstration model
  std::filesystem::path tasks;  // empty: the shipped task files

  bool cache = true;
  std::filesystem::path cache_folder = cache_dir() / "answers";
  uint64_t cache_bytes = 256ull << 20;
  uint64_t prefix_bytes = 1ull << 30;  // 0: keys and values stay in memory

  uint32_t threads = 0;  // 0: one for each core
  bool pin = false;
  std::string compute = "bf16";
  std::string kv = "f16";
  std::filesystem::path packed_folder = cache_dir() / "weights";
  uint64_t kv_bytes = 1ull << 30;
  uint32_t batch_tokens_max = 512;
  uint32_t sequences_max = 64;
};

// All mistakes in one error. `printed`, if given, receives the settings in effect as a TOML file.
Result<WorkerConfig> load_worker_config(const ConfigSources& sources, std::string* printed = nullptr);

// Fills what depends on the machine: keys, host, name (of a worker with a key: the key's name and a number),
// and the folders of the shipped files. kNotFound where these are not found, kInvalid for keys that are none.
Result<void> complete(WorkerConfig& config);

std::string host_name();

}  // namespace tandem
