// What a ConfigReader knows: its sources, the keys asked for, the mistakes. Inside shared/config only.

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "shared/config/config_reader.h"
#include "shared/config/toml_node.h"

namespace tandem {

// What a source says about a key.
struct Given {
  TomlNode node;      // from the file as it is there; from elsewhere a text, to be read as the key's type
  std::string place;  // "broker.toml:7"
  bool from_file = false;
};

struct PrintedKey {
  std::string section, key, help, value, fallback;
};

struct ConfigReader::State {
  std::unique_ptr<TomlState> file = std::make_unique<TomlState>();
  std::filesystem::path folder;
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::pair<std::string, std::string>> sets;

  std::set<std::string> names;
  std::map<std::string, std::string> places;  // of the keys that a source set
  std::vector<std::string> problems;          // of the environment and the command line
  std::vector<PrintedKey> printed;

  // The source that counts for this key, if any.
  std::optional<Given> find(std::string_view name);
  void expected(std::string_view name, const Given& given, const std::string& what);
  void print(std::string_view name, std::string_view help, const std::string& value,
             const std::string& fallback);

 private:
  TomlNode* find_in_file(std::string_view name);
};

inline constexpr std::string_view kEnvironmentPrefix = "TANDEM_";

// "broker.lease" -> "TANDEM_BROKER_LEASE"
std::string environment_name(std::string_view name);

}  // namespace tandem
