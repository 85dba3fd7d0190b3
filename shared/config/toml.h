// A TOML file, read key by key with the type that is expected. What is wrong is collected, so that a person
// hears of all mistakes at once, each with file and line:
//
//   TANDEM_ASSIGN(auto document, TomlDocument::parse(text, "reply.toml"));
//   TomlTable root = document.root();
//   root.need("version");
//   root.read("version", task.version, {1, 1000});
//   if (auto prompt = root.table("prompt")) prompt->read("system", task.system);
//   for (TomlTable& label : answer.tables("labels")) label.read("id", labels.emplace_back().id);
//   TANDEM_TRY(document.finish());  // reports the keys that nobody asked for, too
//
// The only way to TOML for the rest of Tandem: toml++ is included by toml_parse.cc alone.

#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "shared/base/result.h"

namespace tandem {

struct TomlNode;   // shared/config/toml_node.h
struct TomlState;  // the tree and what is wrong with it

template <typename T>
struct Range {
  T min = std::numeric_limits<T>::lowest();
  T max = std::numeric_limits<T>::max();
};

// A table of a document that is still there: a handle, cheap to copy, valid as long as the document.
//
// read() gives true when the key is there and good; `value` is then set, and untouched otherwise. A value of
// another type or out of range is a problem of the document (finish() reports it), an absent key is not.
class TomlTable {
 public:
  TomlTable(TomlState* state, TomlNode* node) : state_(state), node_(node) {}

  bool has(std::string_view key) const;
  std::vector<std::string> keys() const;  // in the order of the file
  std::string name() const;               // "answer.labels[2]"; "" for the root
  std::string place() const;              // "reply.toml:7"
  int line() const;

  bool read(std::string_view key, std::string& value);
  bool read(std::string_view key, bool& value);
  bool read(std::string_view key, double& value, Range<double> range = {});  // takes integers, too
  bool read(std::string_view key, float& value, Range<double> range = {});
  bool read(std::string_view key, std::vector<std::string>& values);
  template <typename T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) bool read(std::string_view key, T& value,
                                                                        Range<T> range = {}) {
    int64_t number = 0;
    if (!read_integer(key, number, clamp_to_int64(range.min), clamp_to_int64(range.max))) return false;
    value = static_cast<T>(number);
    return true;
  }

  // The table under `key`; nothing when it is absent (or no table, which is a problem).
  std::optional<TomlTable> table(std::string_view key);
  // The tables of an array, written as [[key]] or as key = [{...}, {...}]; empty when absent.
  std::vector<TomlTable> tables(std::string_view key);

  // The key must be there.
  void need(std::string_view key);
  // A problem that only the caller can see: "expected one of the labels, found 'x'". `key` may be empty.
  void problem(std::string_view key, std::string_view text);

 private:
  bool read_integer(std::string_view key, int64_t& value, int64_t min, int64_t max);
  template <typename T>
  static int64_t clamp_to_int64(T number) {
    if constexpr (std::is_unsigned_v<T> && sizeof(T) >= 8) {
      if (number > static_cast<T>(INT64_MAX)) return INT64_MAX;
    }
    return static_cast<int64_t>(number);
  }

  TomlState* state_;
  TomlNode* node_;
};

class TomlDocument {
 public:
  // `name` stands in front of every problem: a file name. kInvalid with name, line and column when `text`
  // is no TOML.
  static Result<TomlDocument> parse(std::string_view text, std::string name);
  // Reads the file; limits::kConfigBytesMax.
  static Result<TomlDocument> open(const std::filesystem::path& path);
  ~TomlDocument();
  TomlDocument(TomlDocument&&) noexcept;
  TomlDocument& operator=(TomlDocument&&) noexcept;

  TomlTable root();
  const std::string& name() const;

  // Every problem so far, and every key that was never asked for (with a suggestion when it looks like one
  // that was), one per line. kInvalid, or nothing when all is well.
  Result<void> finish();

 private:
  friend class ConfigReader;
  explicit TomlDocument(std::unique_ptr<TomlState> state);
  std::unique_ptr<TomlState> state_;
};

// The candidate that `word` was probably meant to be; empty when none is close.
std::string closest_word(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace tandem
