#include "shared/config/config_reader.h"

#include <unistd.h>

#include <algorithm>

#include "shared/config/config_state.h"

extern char** environ;

namespace tandem {

ConfigReader::ConfigReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ConfigReader::ConfigReader(ConfigReader&&) noexcept = default;
ConfigReader& ConfigReader::operator=(ConfigReader&&) noexcept = default;
ConfigReader::~ConfigReader() = default;

Result<ConfigReader> ConfigReader::open(const ConfigSources& sources) {
  auto state = std::make_unique<State>();
  if (!sources.file.empty()) {
    TANDEM_ASSIGN(TomlDocument document, TomlDocument::open(sources.file));
    state->file = std::move(document.state_);
    state->folder = sources.file.parent_path();
  }
  if (sources.environment) {
    state->environment = *sources.environment;
  } else {
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
      const std::string_view text(*entry);
      const size_t equals = text.find('=');
      if (!text.starts_with(kEnvironmentPrefix) || equals == std::string_view::npos) continue;
      state->environment.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  for (const std::string& set : sources.sets) {
    const size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ErrorCode::kInvalid, "--set: expected section.key=value, found '" + set + "'");
    }
    state->sets.emplace_back(set.substr(0, equals), set.substr(equals + 1));
  }
  return ConfigReader(std::move(state));
}

void ConfigReader::problem(std::string_view name, std::string_view text) {
  const auto place = state_->places.find(std::string(name));
  state_->problems.push_back((place != state_->places.end() ? place->second + ": " : "") + std::string(name) +
                             ": " + std::string(text));
}

std::string ConfigReader::print() const {
  // Keys without a section first, as TOML wants it; then every section once.
  std::vector<std::string> sections = {""};
  for (const PrintedKey& key : state_->printed) {
    if (std::find(sections.begin(), sections.end(), key.section) == sections.end()) {
      sections.push_back(key.section);
    }
  }
  std::string out;
  for (const std::string& section : sections) {
    bool first = true;
    for (const PrintedKey& key : state_->printed) {
      if (key.section != section) continue;
      if (!out.empty() && first) out += '\n';
      if (first && !section.empty()) out += "[" + section + "]\n";
      first = false;
      out += "# " + key.help + (key.value != key.fallback ? "; default " + key.fallback : "") + '\n';
      out += key.key + " = " + key.value + '\n';
    }
  }
  return out;
}

Result<void> ConfigReader::finish() {
  State& state = *state_;
  std::string text;
  TomlDocument document(std::make_unique<TomlState>(*state.file));
  if (const auto file = document.finish(); !file) text = file.error().text;

  std::vector<std::string> problems = state.problems;
  const std::vector<std::string> names(state.names.begin(), state.names.end());
  const auto unknown = [&](const std::string& place, const std::string& key,
                           const std::vector<std::string>& known) {
    const std::string meant = closest_word(key, known);
    problems.push_back(place + ": unknown key" + (meant.empty() ? "" : ", did you mean '" + meant + "'?"));
  };

  for (const auto& [key, value] : state.sets) {
    if (!state.names.contains(key)) unknown("--set " + key, key, names);
  }
  // Of the environment only what begins like a section of this program: other programs have theirs.
  std::vector<std::string> variables;
  std::set<std::string> sections;
  for (const std::string& name : names) {
    variables.push_back(environment_name(name));
    const size_t dot = name.find('.');
    if (dot != std::string::npos) sections.insert(environment_name(name.substr(0, dot)) + "_");
  }
  for (const auto& [key, value] : state.environment) {
    const bool ours =
        std::any_of(sections.begin(), sections.end(),
                    [&, &variable = key](const auto& section) { return variable.starts_with(section); });
    if (ours && std::find(variables.begin(), variables.end(), key) == variables.end()) {
      unknown("environment " + key, key, variables);
    }
  }

  for (const std::string& problem : problems) text += (text.empty() ? "" : "\n") + problem;
  if (text.empty()) return {};
  return fail(ErrorCode::kInvalid, text);
}

}  // namespace tandem
