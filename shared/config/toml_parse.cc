// TOML text to our own tree: the one file that includes toml++.

#include <toml++/toml.h>

#include <algorithm>

#include "shared/base/utf8.h"
#include "shared/config/toml.h"
#include "shared/config/toml_node.h"

namespace tandem {
namespace {

TomlNode convert(const toml::node& from, const std::string& name) {
  TomlNode node;
  node.name = name;
  node.line = static_cast<int>(from.source().begin.line);
  if (const auto* table = from.as_table()) {
    node.type = TomlNode::Type::kTable;
    for (const auto& [key, value] : *table) {
      const std::string child(key.str());
      node.table.emplace_back(child, convert(value, name.empty() ? child : name + "." + child));
      // A key's own line: a value such as a table of dotted keys may begin elsewhere.
      node.table.back().second.line = static_cast<int>(key.source().begin.line);
    }
    std::stable_sort(node.table.begin(), node.table.end(),
                     [](const auto& a, const auto& b) { return a.second.line < b.second.line; });
  } else if (const auto* array = from.as_array()) {
    node.type = TomlNode::Type::kArray;
    for (const toml::node& element : *array) {
      node.array.push_back(convert(element, name + "[" + std::to_string(node.array.size()) + "]"));
    }
  } else if (const auto* text = from.as_string()) {
    node.type = TomlNode::Type::kText;
    node.text = text->get();
  } else if (const auto* integer = from.as_integer()) {
    node.type = TomlNode::Type::kInteger;
    node.integer = integer->get();
  } else if (const auto* real = from.as_floating_point()) {
    node.type = TomlNode::Type::kReal;
    node.real = real->get();
  } else if (const auto* boolean = from.as_boolean()) {
    node.type = TomlNode::Type::kBool;
    node.boolean = boolean->get();
  } else {
    node.type = TomlNode::Type::kTime;
  }
  return node;
}

}  // namespace

std::optional<TomlNode> parse_toml_value(std::string_view text) try {
  const toml::table table = toml::parse("value = " + std::string(text));
  const toml::node* node = table.size() == 1 ? table.get("value") : nullptr;
  if (node == nullptr) return std::nullopt;
  return convert(*node, "value");
} catch (const toml::parse_error&) {
  return std::nullopt;
}

Result<TomlDocument> TomlDocument::parse(std::string_view text, std::string name) {
  if (const auto valid = check_utf8(text); !valid) return fail_in(name, valid.error());
  auto state = std::make_unique<TomlState>();
  state->name = std::move(name);
  try {
    const toml::table table = toml::parse(text);
    state->root = convert(table, "");
    state->root.line = 1;
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    return fail(ErrorCode::kInvalid, state->name + ":" + std::to_string(at.line) + ":" +
                                         std::to_string(at.column) +
                                         ": expected TOML: " + std::string(error.description()));
  }
  return TomlDocument(std::move(state));
}

}  // namespace tandem
