#include "shared/config/toml.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "shared/base/file.h"
#include "shared/base/limits.h"
#include "shared/base/utf8.h"
#include "shared/config/toml_node.h"

namespace tandem {
namespace {

// Adds the keys that nobody asked for. A table that nobody asked for is one problem, not one for each key.
void report_unasked(const TomlNode& node, TomlState& state) {
  for (const auto& [key, child] : node.table) {
    if (!child.asked) {
      std::string text = std::string("unknown ") +
                         (child.type == TomlNode::Type::kTable ? "section" : "key") + " '" + child.name + "'";
      const std::string meant = closest_word(key, {node.wanted.begin(), node.wanted.end()});
      if (!meant.empty()) text += ", did you mean '" + meant + "'?";
      state.problem(child.line, text);
    } else {
      report_unasked(child, state);
    }
  }
  for (const TomlNode& element : node.array) {
    if (element.asked) report_unasked(element, state);
  }
}

std::string number(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

template <typename T>
std::string range_text(T min, T max, T lowest, T highest, std::string (*to_text)(T)) {
  if (min == lowest && max == highest) return "";
  if (max == highest) return " of at least " + to_text(min);
  if (min == lowest) return " of at most " + to_text(max);
  return " from " + to_text(min) + " to " + to_text(max);
}

}  // namespace

TomlNode* TomlNode::find(std::string_view key) {
  for (auto& [name_of, child] : table) {
    if (name_of == key) return &child;
  }
  return nullptr;
}

void TomlState::problem(int line, const std::string& text) {
  problems.emplace_back(line, text);
}

std::string describe(const TomlNode& node) {
  switch (node.type) {
    case TomlNode::Type::kText: {
      const std::string_view start = std::string_view(node.text).substr(0, 60);
      const std::string shown(start.substr(0, utf8_valid_prefix(start)));
      return shown.size() < node.text.size() ? "a text of " + std::to_string(node.text.size()) + " bytes"
                                             : "the text '" + shown + "'";
    }
    case TomlNode::Type::kInteger:
      return std::to_string(node.integer);
    case TomlNode::Type::kReal:
      return number(node.real);
    case TomlNode::Type::kBool:
      return node.boolean ? "true" : "false";
    case TomlNode::Type::kArray:
      return "a list";
    case TomlNode::Type::kTable:
      return "a table";
    case TomlNode::Type::kTime:
      return "a date or time";
  }
  return "something else";
}

// ---- TomlTable -------------------------------------------------------------------------------------------

namespace {

// The node under `key`, marked as asked for, when it is there.
TomlNode* ask(TomlNode& table, std::string_view key) {
  table.wanted.insert(std::string(key));
  TomlNode* node = table.find(key);
  if (node != nullptr) node->asked = true;
  return node;
}

void expected(TomlState& state, const TomlNode& node, const std::string& what) {
  state.problem(node.line, node.name + ": expected " + what + ", found " + describe(node));
}

}  // namespace

bool TomlTable::has(std::string_view key) const {
  return node_->find(key) != nullptr;
}

std::vector<std::string> TomlTable::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, child] : node_->table) keys.push_back(key);
  return keys;
}

std::string TomlTable::name() const {
  return node_->name;
}

std::string TomlTable::place() const {
  return state_->name + ":" + std::to_string(node_->line);
}

int TomlTable::line() const {
  return node_->line;
}

bool TomlTable::read(std::string_view key, std::string& value) {
  const TomlNode* node = ask(*node_, key);
  if (node == nullptr) return false;
  if (node->type != TomlNode::Type::kText) {
    expected(*state_, *node, "a text in quotes");
    return false;
  }
  value = node->text;
  return true;
}

bool TomlTable::read(std::string_view key, bool& value) {
  const TomlNode* node = ask(*node_, key);
  if (node == nullptr) return false;
  if (node->type != TomlNode::Type::kBool) {
    expected(*state_, *node, "true or false");
    return false;
  }
  value = node->boolean;
  return true;
}

bool TomlTable::read(std::string_view key, double& value, Range<double> range) {
  const TomlNode* node = ask(*node_, key);
  if (node == nullptr) return false;
  double found = NAN;
  if (node->type == TomlNode::Type::kReal) found = node->real;
  if (node->type == TomlNode::Type::kInteger) found = static_cast<double>(node->integer);
  if (!(found >= range.min && found <= range.max)) {
    const Range<double> all;
    expected(*state_, *node, "a number" + range_text<double>(range.min, range.max, all.min, all.max, number));
    return false;
  }
  value = found;
  return true;
}

bool TomlTable::read(std::string_view key, float& value, Range<double> range) {
  double found = 0;
  if (!read(key, found, range)) return false;
  value = static_cast<float>(found);
  return true;
}

bool TomlTable::read_integer(std::string_view key, int64_t& value, int64_t min, int64_t max) {
  const TomlNode* node = ask(*node_, key);
  if (node == nullptr) return false;
  if (node->type != TomlNode::Type::kInteger || node->integer < min || node->integer > max) {
    expected(*state_, *node,
             "a whole number" + range_text<int64_t>(min, max, INT64_MIN, INT64_MAX,
                                                    [](int64_t n) { return std::to_string(n); }));
    return false;
  }
  value = node->integer;
  return true;
}

bool TomlTable::read(std::string_view key, std::vector<std::string>& values) {
  TomlNode* node = ask(*node_, key);
  if (node == nullptr) return false;
  if (node->type != TomlNode::Type::kArray) {
    expected(*state_, *node, "a list of texts");
    return false;
  }
  std::vector<std::string> found;
  for (TomlNode& element : node->array) {
    element.asked = true;
    if (element.type != TomlNode::Type::kText) {
      expected(*state_, element, "a text in quotes");
      return false;
    }
    found.push_back(element.text);
  }
  values = std::move(found);
  return true;
}

std::optional<TomlTable> TomlTable::table(std::string_view key) {
  TomlNode* node = ask(*node_, key);
  if (node == nullptr) return std::nullopt;
  if (node->type != TomlNode::Type::kTable) {
    expected(*state_, *node, "a table");
    return std::nullopt;
  }
  return TomlTable(state_, node);
}

std::vector<TomlTable> TomlTable::tables(std::string_view key) {
  TomlNode* node = ask(*node_, key);
  if (node == nullptr) return {};
  if (node->type != TomlNode::Type::kArray) {
    expected(*state_, *node, "a list of tables");
    return {};
  }
  std::vector<TomlTable> tables;
  for (TomlNode& element : node->array) {
    element.asked = true;
    if (element.type != TomlNode::Type::kTable) {
      expected(*state_, element, "a table");
    } else {
      tables.emplace_back(state_, &element);
    }
  }
  return tables;
}

void TomlTable::need(std::string_view key) {
  node_->wanted.insert(std::string(key));
  if (has(key)) return;
  const std::string path = node_->name.empty() ? std::string(key) : node_->name + "." + std::string(key);
  state_->problem(node_->line, path + ": expected a value, found none");
}

void TomlTable::problem(std::string_view key, std::string_view text) {
  const TomlNode* node = key.empty() ? nullptr : node_->find(key);
  std::string path = node_->name;
  if (!key.empty()) path += (path.empty() ? "" : ".") + std::string(key);
  state_->problem(node != nullptr ? node->line : node_->line,
                  (path.empty() ? "" : path + ": ") + std::string(text));
}

// ---- TomlDocument ----------------------------------------------------------------------------------------

TomlDocument::TomlDocument(std::unique_ptr<TomlState> state) : state_(std::move(state)) {}
TomlDocument::~TomlDocument() = default;
TomlDocument::TomlDocument(TomlDocument&&) noexcept = default;
TomlDocument& TomlDocument::operator=(TomlDocument&&) noexcept = default;

Result<TomlDocument> TomlDocument::open(const std::filesystem::path& path) {
  TANDEM_ASSIGN(const std::string text, read_file(path, limits::kConfigBytesMax));
  return parse(text, path.string());
}

TomlTable TomlDocument::root() {
  return TomlTable(state_.get(), &state_->root);
}

const std::string& TomlDocument::name() const {
  return state_->name;
}

Result<void> TomlDocument::finish() {
  TomlState all = *state_;  // so that finish() can be called again
  report_unasked(all.root, all);
  if (all.problems.empty()) return {};
  std::stable_sort(all.problems.begin(), all.problems.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text;
  for (const auto& [line, problem] : all.problems) {
    if (!text.empty()) text += '\n';
    text += all.name + ":" + std::to_string(line) + ": " + problem;
  }
  return fail(ErrorCode::kInvalid, text);
}

std::string closest_word(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    // Levenshtein distance, one row at a time.
    std::vector<size_t> row(candidate.size() + 1);
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = std::exchange(row[0], i);
      for (size_t j = 1; j <= candidate.size(); ++j) {
        const size_t replaced = diagonal + (word[i - 1] != candidate[j - 1]);
        diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
      }
    }
    if (row.back() < best_distance && row.back() < word.size()) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace tandem
