#include "worker/engine/tokenizer/chat_template.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "shared/base/file.h"
#include "shared/base/hash.h"
#include "shared/base/limits.h"
#include "worker/engine/tensor/gguf.h"
#include "worker/engine/tokenizer/chat_tools.h"
#include "worker/engine/tokenizer/prompt_writer.h"

namespace tandem::engine {
namespace {

using nlohmann::json;

constexpr std::string_view kQwen15System = "You are a helpful assistant";

// The template of Qwen1.5 and Qwen2 is these with the default system message between.
constexpr std::string_view kSimpleHead =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ "
    "'<|im_start|>system\n";
constexpr std::string_view kSimpleTail =
    "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

// The templates with tools (Qwen2.5, Qwen3-2507) are long and have revisions. They are known by the lines
// that write what we write: a head for tools, a first system message, user messages as they are, the end.
constexpr std::string_view kToolsHead = "{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n";
constexpr std::string_view kToolsSystem =
    "        {{- '<|im_start|>system\\n' + messages[0]";  // .content or ['content'], then + '<|im_end|>\n'
constexpr std::string_view kToolsUser =
    R"({%- if (message.role == "user") or (message.role == "system" and not loop.first))";
constexpr std::string_view kToolsTail =
    "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}";
constexpr std::string_view kToolsDefaultHead = "        {{- '<|im_start|>system\\n";
constexpr std::string_view kToolsDefaultTail = "<|im_end|>\\n' }}\n";
// Both releases of Qwen3-2507 and Qwen2.5 have this; changed templates that trim or filter contents are not
// ours.
constexpr std::string_view kFilters[] = {"|trim", "| trim", "|upper", "| upper", "|replace", "| replace"};

// Of the two, only Qwen3's have this line.
constexpr std::string_view kQwen3Content = "{%- if message.content is string %}";

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string_view without_end_space(std::string_view text) {
  const size_t last = text.find_last_not_of(" \t\r\n");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// A piece of a Jinja string that is nothing but its letters.
bool is_literal(std::string_view text) {
  return text.find_first_of("'\\{}\"") == std::string_view::npos;
}

std::optional<std::string_view> simple_default(std::string_view jinja) {
  if (!jinja.starts_with(kSimpleHead) || !jinja.ends_with(kSimpleTail)) return std::nullopt;
  if (jinja.size() < kSimpleHead.size() + kSimpleTail.size()) return std::nullopt;
  jinja.remove_prefix(kSimpleHead.size());
  jinja.remove_suffix(kSimpleTail.size());
  return is_literal(jinja) ? std::optional(jinja) : std::nullopt;
}

bool is_tools_family(std::string_view jinja) {
  for (const std::string_view filter : kFilters) {
    if (has(jinja, filter)) return false;
  }
  return jinja.starts_with(kToolsHead) && has(jinja, kToolsSystem) && has(jinja, kToolsUser) &&
         jinja.ends_with(kToolsTail);
}

std::string_view tools_default(std::string_view jinja) {
  for (size_t at = jinja.find(kToolsDefaultHead); at != std::string_view::npos;
       at = jinja.find(kToolsDefaultHead, at + 1)) {
    const std::string_view rest = jinja.substr(at + kToolsDefaultHead.size());
    const std::string_view text = rest.substr(0, rest.find(kToolsDefaultTail));
    if (text.size() < rest.size() && is_literal(text)) return text;
  }
  return "";
}

// Nothing where there is no GGUF file, or none with a template.
Result<std::string> template_of_gguf(const std::filesystem::path& path) {
  TANDEM_ASSIGN(const auto gguf, gguf_file_of(path));
  if (!gguf) return std::string();
  TANDEM_ASSIGN(const MappedFile file, MappedFile::open(*gguf));
  const auto parsed = parse_gguf(file.bytes());
  if (!parsed) return fail_in(gguf->string(), parsed.error());
  const GgufValue* value = parsed->find("tokenizer.chat_template");
  if (value == nullptr) return std::string();
  if (const auto text = value->text()) return std::string(*text);
  return fail(ErrorCode::kCorrupt,
              gguf->string() + ": 'tokenizer.chat_template': expected a text, found " + value->shown());
}

Result<std::string> template_of(const std::filesystem::path& folder) try {
  if (auto jinja = read_file(folder / "chat_template.jinja", limits::kConfigBytesMax)) return jinja;
  const auto text = read_file(folder / "tokenizer_config.json", limits::kConfigBytesMax * 16);
  if (!text) {
    std::error_code ignored;
    if (text.error().code == ErrorCode::kNotFound || !std::filesystem::is_directory(folder, ignored)) {
      return template_of_gguf(folder);
    }
    return fail(text.error());
  }
  const json config = json::parse(*text);
  if (!config.is_object() || !config.contains("chat_template")) return std::string();
  const json& entry = config["chat_template"];
  if (entry.is_null()) return std::string();
  if (entry.is_string()) return entry.get<std::string>();
  for (const json& named : entry) {  // several: [{"name": "default", "template": "..."}, ...]
    if (named.is_object() && named.value("name", "") == "default") return named.value("template", "");
  }
  return fail(ErrorCode::kUnsupported,
              (folder / "tokenizer_config.json").string() +
                  ": chat_template: expected a text or a list with one named default");
} catch (const json::exception& error) {
  return fail(ErrorCode::kCorrupt, (folder / "tokenizer_config.json").string() + ": " + error.what());
}

// Python's str.strip("\n") and its halves.
std::string_view strip_left(std::string_view text) {
  const size_t first = text.find_first_not_of('\n');
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}
std::string_view strip_right(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\n') + 1);
}

struct Thinking {
  std::string_view thoughts, answer;
};
Thinking split_thinking(std::string_view text) {
  constexpr std::string_view kBegin = "<think>", kEnd = "</think>";
  const size_t first_end = text.find(kEnd);
  if (first_end == std::string_view::npos) return {"", text};
  std::string_view thoughts = strip_right(text.substr(0, first_end));
  if (const size_t begin = thoughts.rfind(kBegin); begin != std::string_view::npos) {
    thoughts.remove_prefix(begin + kBegin.size());
  }
  return {strip_left(thoughts), strip_left(text.substr(text.rfind(kEnd) + kEnd.size()))};
}

// The message after which no question of a user follows any more; the last one when there is none at all.
size_t last_question(std::span<const ChatMessage> messages) {
  for (size_t i = messages.size(); i-- > 0;) {
    const std::string_view text = messages[i].text;
    const bool answers_tool = text.starts_with("<tool_response>") && text.ends_with("</tool_response>");
    if (messages[i].role == "user" && !answers_tool) return i;
  }
  return messages.empty() ? 0 : messages.size() - 1;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::load(const std::filesystem::path& folder) {
  TANDEM_ASSIGN(const std::string jinja, template_of(folder));
  if (jinja.empty()) return ChatTemplate(std::string(kQwen15System));
  auto chat = recognise(jinja);
  if (!chat) return fail_in(folder.string(), std::move(chat).error());
  return chat;
}

Result<ChatTemplate> ChatTemplate::recognise(std::string_view jinja) {
  jinja = without_end_space(jinja);
  if (const auto system = simple_default(jinja)) return ChatTemplate(std::string(*system));
  if (!is_tools_family(jinja)) {
    return fail(ErrorCode::kUnsupported,
                "chat template: expected that of Qwen1.5, Qwen2, Qwen2.5 or Qwen3-2507, found another one (" +
                    std::to_string(jinja.size()) + " bytes, hash " + hash128(jinja).to_hex() + ")");
  }
  ChatTemplate chat{std::string(tools_default(jinja))};
  chat.moves_thinking_ = has(jinja, "reasoning_content");
  chat.tools_ = writes_tools(jinja);
  chat.responses_are_tokens_ = has(jinja, kQwen3Content);
  return chat;
}

std::vector<PromptPiece> ChatTemplate::render(std::span<const ChatMessage> messages,
                                              bool add_generation_prompt,
                                              std::span<const std::string> tools) const {
  std::vector<PromptPiece> pieces;
  PromptWriter write(pieces);
  // An empty default is none, as in the constructor's contract; an empty system message of the caller is
  // written.
  const bool has_system = !messages.empty() && messages[0].role == "system";
  std::optional<std::string_view> system;
  if (has_system) {
    system = messages[0].text;
  } else if (!default_system_.empty() && !messages.empty()) {
    system = default_system_;
  }
  if (tools_ && !tools.empty()) {
    write_tools(write, system, tools);
  } else if (system) {
    write.open("system");
    write.plain(*system);
    write.close();
  }

  const size_t question = last_question(messages);
  for (size_t i = has_system ? 1 : 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    if (tools_ && message.role == "tool") {  // answers in a row are one turn of the user
      if (i == 0 || messages[i - 1].role != "tool") {
        write.special("<|im_start|>");
        write.plain("user");
      }
      write_response(write, message.text, responses_are_tokens_);
      if (i + 1 == messages.size() || messages[i + 1].role != "tool") write.close();
      continue;
    }
    write.open(message.role);
    const bool answers = message.role == "assistant";
    const auto [thoughts, text] =
        moves_thinking_ && answers ? split_thinking(message.text) : Thinking{"", message.text};
    // The first release of Qwen3-2507 drops thoughts from turns before the last question and puts them in
    // front of the last answer, even if it has none.
    if (moves_thinking_ && answers && i > question && (i + 1 == messages.size() || !thoughts.empty())) {
      write.special("<think>");
      write.plain("\n" + std::string(strip_right(thoughts)) + "\n");
      write.special("</think>");
      write.plain("\n\n" + std::string(strip_left(text)));
    } else {
      write.plain(text);
    }
    if (tools_ && answers) write_calls(write, !text.empty(), message.tool_calls);
    write.close();
  }
  if (add_generation_prompt) write.open("assistant");
  return pieces;
}

std::string to_text(std::span<const PromptPiece> pieces) {
  std::string text;
  for (const PromptPiece& piece : pieces) text += piece.text;
  return text;
}

}  // namespace tandem::engine
