// The tree behind toml.h and config_reader.h. Inside shared/config only.

#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "shared/config/toml.h"

namespace tandem {

struct TomlNode {
  enum class Type { kText, kInteger, kReal, kBool, kArray, kTable, kTime };

  Type type = Type::kTable;
  std::string text;
  int64_t integer = 0;
  double real = 0;
  bool boolean = false;
  std::vector<TomlNode> array;
  std::vector<std::pair<std::string, TomlNode>> table;  // in the order of the file

  int line = 0;
  std::string name;              // "answer.labels[2].id"
  bool asked = false;            // somebody read it
  std::set<std::string> wanted;  // of a table: the keys that were asked for, there or not

  TomlNode* find(std::string_view key);
};

struct TomlState {
  std::string name;
  TomlNode root;
  std::vector<std::pair<int, std::string>> problems;  // line, text

  void problem(int line, const std::string& text);
};

// "a string", "the number -5", "a table": for "expected ..., found ...".
std::string describe(const TomlNode& node);

// A value written as in a TOML file; nothing when `text` is none.
std::optional<TomlNode> parse_toml_value(std::string_view text);

}  // namespace tandem
