#include "shared/config/config_state.h"

#include <algorithm>

namespace tandem {

std::string environment_name(std::string_view name) {
  std::string text(kEnvironmentPrefix);
  for (const char c : name) {
    text += c == '.' || c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return text;
}

std::optional<Given> ConfigReader::State::find(std::string_view name) {
  names.insert(std::string(name));
  std::optional<Given> given;
  if (TomlNode* node = find_in_file(name)) {
    given = Given{*node, file->name + ":" + std::to_string(node->line), true};
  }
  const auto from_text = [&](const std::string& text, const std::string& place) {
    Given found;
    found.node.type = TomlNode::Type::kText;
    found.node.text = text;
    found.place = place;
    given = found;
  };
  const std::string variable = environment_name(name);
  for (const auto& [key, text] : environment) {
    if (key == variable) from_text(text, "environment " + key);
  }
  for (const auto& [key, text] : sets) {
    if (key == name) from_text(text, "--set " + key);
  }
  if (given) places[std::string(name)] = given->place;
  return given;
}

TomlNode* ConfigReader::State::find_in_file(std::string_view name) {
  TomlNode* node = &file->root;
  std::string_view rest = name;
  for (;;) {
    const size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    node->wanted.insert(std::string(part));
    node = node->find(part);
    if (node == nullptr) return nullptr;
    node->asked = true;
    if (dot == std::string_view::npos) return node;
    if (node->type != TomlNode::Type::kTable) {
      const std::string text = node->name + ": expected a section, found " + describe(*node);
      if (std::none_of(file->problems.begin(), file->problems.end(),
                       [&](const auto& problem) { return problem.second == text; })) {
        file->problem(node->line, text);
      }
      return nullptr;
    }
    rest.remove_prefix(dot + 1);
  }
}

void ConfigReader::State::expected(std::string_view name, const Given& given, const std::string& what) {
  const std::string text = std::string(name) + ": expected " + what + ", found " + describe(given.node);
  if (given.from_file) {
    file->problem(given.node.line, text);
  } else {
    problems.push_back(given.place + ": expected " + what + ", found " + describe(given.node));
  }
}

void ConfigReader::State::print(std::string_view name, std::string_view help, const std::string& value,
                                const std::string& fallback) {
  const size_t dot = name.rfind('.');
  PrintedKey key;
  key.section = dot == std::string_view::npos ? "" : name.substr(0, dot);
  key.key = dot == std::string_view::npos ? name : name.substr(dot + 1);
  key.help = help;
  key.value = value;
  key.fallback = fallback;
  printed.push_back(std::move(key));
}

}  // namespace tandem
