#include "worker/engine/tokenizer/chat_tools.h"

#include <nlohmann/json.hpp>

#include "shared/base/utf8.h"

namespace tandem::engine {
namespace {

using Json = nlohmann::ordered_json;  // keys stay in the order of their writer

constexpr std::string_view kIntroduction =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
constexpr std::string_view kInstruction =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": "
    "<args-json-object>}\n</tool_call>";
constexpr std::string_view kCall = "<tool_call>", kCallEnd = "</tool_call>";

// As it stands in a Jinja string between double quotes.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '"') out += '\\';
      out += c;
    }
  }
  return out;
}

// Text of ours in which the marks of a call are tokens.
void write_with_marks(PromptWriter& write, std::string_view text) {
  while (true) {
    const size_t begin = text.find(kCall), end = text.find(kCallEnd);
    const size_t at = std::min(begin, end);
    if (at == std::string_view::npos) break;
    const std::string_view mark = begin < end ? kCall : kCallEnd;
    write.plain(text.substr(0, at));
    write.special(mark);
    text.remove_prefix(at + mark.size());
  }
  write.plain(text);
}

void append(const Json& value, std::string& out) {
  if (!value.is_structured()) {
    out += value.dump(-1, ' ', false, Json::error_handler_t::replace);
    return;
  }
  out += value.is_object() ? '{' : '[';
  bool first = true;
  for (const auto& [key, member] : value.items()) {
    if (!first) out += ", ";
    first = false;
    if (value.is_object()) out += Json(key).dump(-1, ' ', false, Json::error_handler_t::replace) + ": ";
    append(member, out);
  }
  out += value.is_object() ? '}' : ']';
}

constexpr int kDepthMax = 64;

}  // namespace

Result<std::string> to_template_json(std::string_view json) {
  bool too_deep = false;
  const auto watch = [&](int depth, Json::parse_event_t, Json&) { return !(too_deep |= depth > kDepthMax); };
  const Json value = Json::parse(json, watch, false);
  if (value.is_discarded() || too_deep) {
    return fail(ErrorCode::kInvalid,
                "expected JSON" + (too_deep ? " of at most " + std::to_string(kDepthMax) + " levels" : "") +
                    ", found '" + utf8_lossy(json.substr(0, 80)) + "'");
  }
  std::string out;
  append(value, out);
  return out;
}

bool writes_tools(std::string_view jinja) {
  const auto has = [jinja](std::string_view part) { return jinja.find(part) != std::string_view::npos; };
  return has(escaped(kIntroduction)) && has(escaped(kInstruction)) && has("{{- tool | tojson }}") &&
         has("<tool_call>\\n{\"name\": \"' }}") && has("'}\\n</tool_call>' }}") &&
         has("'\\n<tool_response>\\n' }}") && has("'\\n</tool_response>' }}");
}

void write_tools(PromptWriter& write, std::optional<std::string_view> system,
                 std::span<const std::string> tools) {
  write.open("system");
  if (system) write.plain(std::string(*system) + "\n\n");
  write.plain(kIntroduction);
  for (const std::string& tool : tools) write.plain("\n" + tool);
  write_with_marks(write, kInstruction);
  write.close();
}

void write_calls(PromptWriter& write, bool after_text, std::span<const ToolCall> calls) {
  for (const ToolCall& call : calls) {
    if (after_text) write.plain("\n");
    after_text = true;
    write.special(kCall);
    write.plain("\n{\"name\": \"" + call.name + "\", \"arguments\": " + call.arguments + "}\n");
    write.special(kCallEnd);
  }
}

void write_response(PromptWriter& write, std::string_view text, bool marks_are_tokens) {
  const auto mark = [&](std::string_view spelling) {
    if (marks_are_tokens) {
      write.special(spelling);
    } else {
      write.plain(spelling);
    }
  };
  write.plain("\n");
  mark("<tool_response>");
  write.plain("\n" + std::string(text) + "\n");
  mark("</tool_response>");
}

}  // namespace tandem::engine
