// The settings of a program: defaults in a struct, over them a TOML file, the environment, the command line.
//
//   struct BrokerConfig {
//     std::string submit = "ipc:///run/tandem/submit";
//     milliseconds lease = 10s;
//     uint64_t journal_bytes = 4ull << 30;
//   };
//
//   Result<BrokerConfig> load_broker_config(const ConfigSources& sources, std::string* printed) {
//     TANDEM_ASSIGN(auto reader, ConfigReader::open(sources));
//     BrokerConfig config;
//     reader.key("broker.submit", config.submit, "where clients send jobs");
//     reader.key("broker.lease", config.lease, {100ms, 1h}, "how long a worker may be silent about a job");
//     reader.bytes("broker.journal_bytes", config.journal_bytes, {1 << 20}, "upper limit of the journal");
//     if (printed != nullptr) *printed = reader.print();
//     TANDEM_TRY(reader.finish());
//     return config;
//   }
//
// The environment has TANDEM_BROKER_LEASE for broker.lease, the command line --set broker.lease=5s.

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/result.h"
#include "shared/config/toml.h"

namespace tandem {

template <>
struct Range<milliseconds> {
  milliseconds min = milliseconds(0);
  milliseconds max = milliseconds::max();
};

struct ConfigSources {
  std::filesystem::path file;     // empty: none
  std::vector<std::string> sets;  // "section.key=value", as from --set; the last one of a key counts
  // NAME, value. Nothing: the environment of the process.
  std::optional<std::vector<std::pair<std::string, std::string>>> environment;
};

// Every key() leaves its value alone unless a source has a good one for it. Mistakes are collected: finish()
// has all of them, each with its place: "broker.toml:7", "environment TANDEM_BROKER_LEASE", "--set
// broker.lease".
class ConfigReader {
 public:
  // The errors of reading and parsing the file, and a --set that is not section.key=value.
  static Result<ConfigReader> open(const ConfigSources& sources);
  ConfigReader(ConfigReader&&) noexcept;
  ConfigReader& operator=(ConfigReader&&) noexcept;
  ~ConfigReader();

  void key(std::string_view name, std::string& value, std::string_view help);
  void key(std::string_view name, bool& value, std::string_view help);
  void key(std::string_view name, double& value, Range<double> range, std::string_view help);
  void key(std::string_view name, std::vector<std::string>& value, std::string_view help);
  // A path in the file is relative to the file's folder, one from elsewhere to the working folder.
  void key(std::string_view name, std::filesystem::path& value, std::string_view help);
  // "250ms", "5s", "2min", "1h", or a whole number: of milliseconds, or of the unit that the key's name ends
  // in (lease_ms, ttl_s, window_min).
  void key(std::string_view name, milliseconds& value, Range<milliseconds> range, std::string_view help);
  // Whole numbers of any type.
  template <typename T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) void key(std::string_view name, T& value,
                                                                       Range<T> range,
                                                                       std::string_view help) {
    int64_t number = static_cast<int64_t>(value);
    integer(name, number, {to_int64(range.min), to_int64(range.max)}, help);
    value = static_cast<T>(number);
  }
  // A size: a whole number of bytes, or "64MiB" (KiB, MiB, GiB, TiB; kB, MB, GB, TB are thousands).
  void bytes(std::string_view name, uint64_t& value, Range<uint64_t> range, std::string_view help);
  // One of a list of words.
  void choice(std::string_view name, std::string& value, const std::vector<std::string>& choices,
              std::string_view help);
  template <typename E>
  requires std::is_enum_v<E>
  void choice(std::string_view name, E& value, const std::vector<std::pair<std::string, E>>& choices,
              std::string_view help) {
    std::string word;
    std::vector<std::string> words;
    for (const auto& [text, meaning] : choices) {
      words.push_back(text);
      if (meaning == value) word = text;
    }
    choice(name, word, words, help);
    for (const auto& [text, meaning] : choices) {
      if (text == word) value = meaning;
    }
  }
  // A mistake that only the caller can see, such as two keys that do not go together.
  void problem(std::string_view name, std::string_view text);

  // The settings in effect, as a TOML file with a comment for each: for --print-config.
  std::string print() const;

  // Every mistake, and every key and section of the file, the environment (in sections that exist) and the
  // command line that no key() asked for. kInvalid, one per line.
  Result<void> finish();

 private:
  struct State;
  explicit ConfigReader(std::unique_ptr<State> state);
  void integer(std::string_view name, int64_t& value, Range<int64_t> range, std::string_view help);
  template <typename T>
  static int64_t to_int64(T number) {
    if constexpr (std::is_unsigned_v<T> && sizeof(T) >= 8) {
      if (number > static_cast<T>(INT64_MAX)) return INT64_MAX;
    }
    return static_cast<int64_t>(number);
  }

  std::unique_ptr<State> state_;
};

// "250ms", "5s", "2min", "1h", "7d".
Result<milliseconds> parse_duration(std::string_view text);
std::string format_duration(milliseconds time);
// "4096", "64MiB".
Result<uint64_t> parse_bytes(std::string_view text);
std::string format_bytes(uint64_t n_bytes);

}  // namespace tandem
