// The sorts of keys: how each reads what a source says, and how it is printed.

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <sstream>

#include "shared/config/config_state.h"

namespace tandem {
namespace {

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string list(const std::vector<std::string>& values) {
  std::string out;
  for (const std::string& value : values) out += (out.empty() ? "" : ", ") + in_quotes(value);
  return "[" + out + "]";
}

std::string real(double value) {
  char text[64];
  const auto [end, failure] = std::to_chars(text, text + sizeof text, value);
  std::string out(text, end);
  if (out.find_first_of(".en") == std::string::npos) out += ".0";
  return out;
}

// " (1 to 100)" for the help of a key; only the bounds that are not the type's.
template <typename T, typename Format>
std::string bounds(Range<T> range, Range<T> all, Format format) {
  if (range.min == all.min && range.max == all.max) return "";
  if (range.max == all.max) return " (at least " + format(range.min) + ")";
  if (range.min == all.min) return " (at most " + format(range.max) + ")";
  return " (" + format(range.min) + " to " + format(range.max) + ")";
}

// The unit of whole numbers under a key of this name, in milliseconds.
int64_t unit_of(std::string_view name) {
  if (name.ends_with("_s")) return 1000;
  if (name.ends_with("_min")) return 60'000;
  return 1;
}

// A text from the environment or the command line as a value of another type than text.
TomlNode as_value(const Given& given) {
  if (given.from_file) return given.node;
  return parse_toml_value(given.node.text).value_or(given.node);
}

}  // namespace

void ConfigReader::key(std::string_view name, std::string& value, std::string_view help) {
  const std::string fallback = in_quotes(value);
  if (const auto given = state_->find(name)) {
    if (given->node.type == TomlNode::Type::kText) {
      value = given->node.text;
    } else {
      state_->expected(name, *given, "a text in quotes");
    }
  }
  state_->print(name, help, in_quotes(value), fallback);
}

void ConfigReader::key(std::string_view name, bool& value, std::string_view help) {
  const bool fallback = value;
  if (const auto given = state_->find(name)) {
    const TomlNode node = as_value(*given);
    if (node.type == TomlNode::Type::kBool) {
      value = node.boolean;
    } else {
      state_->expected(name, *given, "true or false");
    }
  }
  state_->print(name, help, value ? "true" : "false", fallback ? "true" : "false");
}

void ConfigReader::key(std::string_view name, double& value, Range<double> range, std::string_view help) {
  const std::string fallback = real(value);
  if (const auto given = state_->find(name)) {
    const TomlNode node = as_value(*given);
    const bool whole = node.type == TomlNode::Type::kInteger;
    const double found = whole ? static_cast<double>(node.integer) : node.real;
    if ((whole || node.type == TomlNode::Type::kReal) && found >= range.min && found <= range.max) {
      value = found;
    } else {
      state_->expected(name, *given, "a number" + bounds(range, {}, real));
    }
  }
  state_->print(name, std::string(help) + bounds(range, {}, real), real(value), fallback);
}

void ConfigReader::integer(std::string_view name, int64_t& value, Range<int64_t> range,
                           std::string_view help) {
  const std::string fallback = std::to_string(value);
  const auto text = [](int64_t number) { return std::to_string(number); };
  if (const auto given = state_->find(name)) {
    const TomlNode node = as_value(*given);
    if (node.type == TomlNode::Type::kInteger && node.integer >= range.min && node.integer <= range.max) {
      value = node.integer;
    } else {
      state_->expected(name, *given, "a whole number" + bounds(range, {}, text));
    }
  }
  state_->print(name, std::string(help) + bounds(range, {}, text), std::to_string(value), fallback);
}

void ConfigReader::key(std::string_view name, std::vector<std::string>& value, std::string_view help) {
  const std::string fallback = list(value);
  if (const auto given = state_->find(name)) {
    std::vector<std::string> found;
    bool good = true;
    // Outside of files a list may be written a,b,c.
    if (!given->from_file && !given->node.text.starts_with('[')) {
      std::istringstream words(given->node.text);
      for (std::string word; std::getline(words, word, ',');) found.push_back(word);
    } else {
      const TomlNode node = as_value(*given);
      good = node.type == TomlNode::Type::kArray;
      for (const TomlNode& element : node.array) {
        good = good && element.type == TomlNode::Type::kText;
        found.push_back(element.text);
      }
    }
    if (good) {
      value = std::move(found);
    } else {
      state_->expected(name, *given, "a list of texts");
    }
  }
  state_->print(name, help, list(value), fallback);
}

void ConfigReader::key(std::string_view name, std::filesystem::path& value, std::string_view help) {
  const std::string fallback = in_quotes(value.string());
  if (const auto given = state_->find(name)) {
    if (given->node.type != TomlNode::Type::kText) {
      state_->expected(name, *given, "a path in quotes");
    } else {
      value = given->node.text;
      if (given->from_file && !value.empty() && value.is_relative()) value = state_->folder / value;
    }
  }
  state_->print(name, help, in_quotes(value.string()), fallback);
}

void ConfigReader::key(std::string_view name, milliseconds& value, Range<milliseconds> range,
                       std::string_view help) {
  const int64_t unit = unit_of(name);
  const bool plain = unit != 1 || name.ends_with("_ms");
  const auto text = [&](milliseconds time) {
    if (plain && time.count() % unit == 0) return std::to_string(time.count() / unit);
    return in_quotes(format_duration(time));
  };
  const std::string fallback = text(value);
  const std::string limits = bounds(range, {}, format_duration);
  if (const auto given = state_->find(name)) {
    const TomlNode node = as_value(*given);
    std::optional<milliseconds> found;
    if (node.type == TomlNode::Type::kInteger && node.integer >= 0 && node.integer <= INT64_MAX / unit) {
      found = milliseconds(node.integer * unit);
    } else if (node.type == TomlNode::Type::kText) {
      if (const auto parsed = parse_duration(node.text)) found = *parsed;
    }
    if (found && *found >= range.min && *found <= range.max) {
      value = *found;
    } else {
      state_->expected(name, *given, "a duration such as 250ms, 5s, 2min or 1h" + limits);
    }
  }
  state_->print(name, std::string(help) + limits, text(value), fallback);
}

void ConfigReader::bytes(std::string_view name, uint64_t& value, Range<uint64_t> range,
                         std::string_view help) {
  const std::string fallback = in_quotes(format_bytes(value));
  const std::string limits = bounds(range, {}, format_bytes);
  if (const auto given = state_->find(name)) {
    const TomlNode node = as_value(*given);
    std::optional<uint64_t> found;
    if (node.type == TomlNode::Type::kInteger && node.integer >= 0) {
      found = static_cast<uint64_t>(node.integer);
    } else if (node.type == TomlNode::Type::kText) {
      if (const auto parsed = parse_bytes(node.text)) found = *parsed;
    }
    if (found && *found >= range.min && *found <= range.max) {
      value = *found;
    } else {
      state_->expected(name, *given, "a size such as 4096, 64MiB or 2GiB" + limits);
    }
  }
  state_->print(name, std::string(help) + limits, in_quotes(format_bytes(value)), fallback);
}

void ConfigReader::choice(std::string_view name, std::string& value, const std::vector<std::string>& choices,
                          std::string_view help) {
  const std::string fallback = in_quotes(value);
  std::string all;
  for (const std::string& choice : choices) all += (all.empty() ? "" : ", ") + choice;
  if (const auto given = state_->find(name)) {
    const std::string& word = given->node.text;
    if (given->node.type == TomlNode::Type::kText &&
        std::find(choices.begin(), choices.end(), word) != choices.end()) {
      value = word;
    } else {
      state_->expected(name, *given, "one of " + all);
    }
  }
  state_->print(name, std::string(help) + " (" + all + ")", in_quotes(value), fallback);
}

}  // namespace tandem
