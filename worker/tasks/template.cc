#include "worker/tasks/template.h"

#include <algorithm>

#include "shared/base/assert.h"

namespace tandem {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

}  // namespace

Result<std::vector<TemplatePiece>> parse_template(std::string_view text) {
  std::vector<TemplatePiece> pieces;
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) pieces.push_back({false, std::move(literal)});
    literal.clear();
  };
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c != '{' && c != '}') {
      literal += c;
    } else if (at + 1 < text.size() && text[at + 1] == c) {
      literal += c;
      ++at;
    } else if (c == '}') {
      return fail(
          ErrorCode::kInvalid,
          "expected '}}' for a brace, found a single '}' that closes nothing at byte " + std::to_string(at));
    } else {
      const size_t end = text.find('}', at);
      if (end == std::string_view::npos) {
        return fail(ErrorCode::kInvalid, "expected '}' after the name that '{' begins at byte " +
                                             std::to_string(at) + " ('{{' is a brace), found the end");
      }
      const std::string_view name = text.substr(at + 1, end - at - 1);
      if (name.empty() || !std::all_of(name.begin(), name.end(), is_name_character)) {
        return fail(ErrorCode::kInvalid,
                    "expected {text} or the {name} of a variable ('{{' is a brace), found '{" +
                        std::string(name) + "}' at byte " + std::to_string(at));
      }
      flush();
      pieces.push_back({true, std::string(name)});
      at = end;
    }
  }
  flush();
  return pieces;
}

std::string fill_template(std::string_view text, const std::map<std::string, std::string>& values) {
  const auto pieces = parse_template(text);
  TANDEM_ASSERT(pieces.has_value(), "templates are checked when their task is loaded");
  std::string filled;
  for (const TemplatePiece& piece : *pieces) {
    if (!piece.is_name) {
      filled += piece.text;
      continue;
    }
    const auto value = values.find(piece.text);
    TANDEM_ASSERT(value != values.end(), "a task declares the variables that its templates name");
    filled += value->second;
  }
  return filled;
}

}  // namespace tandem
