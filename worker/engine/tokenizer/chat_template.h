// ChatML, the prompt form of Qwen: messages in, prompt pieces out.

#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace tandem::engine {

// A function that the model asked to be called.
struct ToolCall {
  std::string name;
  std::string arguments;  // JSON; written as it is
};

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", or "tool" with what a call came back with
  std::string text;
  std::vector<ToolCall> tool_calls = {};  // of an assistant
};

// `json` as the templates write it: keys in their order, ", " and ": " between, nothing escaped that need not
// be. kInvalid for what is no JSON.
Result<std::string> to_template_json(std::string_view json);

// How a model family writes a conversation down. Immutable; safe from any thread.
class ChatTemplate {
 public:
  // Tells the family from the chat_template in `folder`/tokenizer_config.json (or chat_template.jinja, where
  // newer folders keep it; or in a GGUF file's tokenizer.chat_template) by recognising the known official
  // ones: Qwen1.5/Qwen2/Qwen2.5 (a default system message when messages[0] is none) and Qwen3-2507 (none).
  // kUnsupported for a template it does not know; without any template, Qwen1.5's.
  static Result<ChatTemplate> load(const std::filesystem::path& folder);
  // The same from the text of a template.
  static Result<ChatTemplate> recognise(std::string_view jinja);
  // `default_system` is put in front when messages[0] is not a system message; "" for none.
  explicit ChatTemplate(std::string default_system) : default_system_(std::move(default_system)) {}

  // "<|im_start|>{role}\n{text}<|im_end|>\n" for each message, and "<|im_start|>assistant\n" at the end if
  // `add_generation_prompt`. Roles, texts and tools are kPlain pieces; a role is written down as it is, the
  // caller checks it.
  //
  // `tools`: the functions the model may call, each one JSON text as to_template_json() gives it. They, tool
  // calls and the role "tool" get their own form where supports_tools(); elsewhere tools and calls are passed
  // over, as that template does it.
  std::vector<PromptPiece> render(std::span<const ChatMessage> messages, bool add_generation_prompt,
                                  std::span<const std::string> tools = {}) const;
  bool supports_tools() const { return tools_; }

 private:
  std::string default_system_;
  bool tools_ = false;
  bool responses_are_tokens_ = false;
  bool moves_thinking_ = false;  // first release of Qwen3-2507: see the .cc
};

// The pieces as one string, to look at or to compare.
std::string to_text(std::span<const PromptPiece> pieces);

}  // namespace tandem::engine
