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

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string text;
};

// How a model family writes a conversation down. Immutable; safe from any thread.
class ChatTemplate {
 public:
  // Tells the family from the chat_template in `folder`/tokenizer_config.json (or chat_template.jinja, where
  // newer folders keep it) by recognising the known official ones: Qwen1.5/Qwen2/Qwen2.5 (a default system
  // message when messages[0] is none) and Qwen3-2507 (none). kUnsupported for a template it does not know;
  // without any template, Qwen1.5's.
  static Result<ChatTemplate> load(const std::filesystem::path& folder);
  // The same from the text of a template.
  static Result<ChatTemplate> recognise(std::string_view jinja);
  // `default_system` is put in front when messages[0] is not a system message; "" for none.
  explicit ChatTemplate(std::string default_system) : default_system_(std::move(default_system)) {}

  // "<|im_start|>{role}\n{text}<|im_end|>\n" for each message, and "<|im_start|>assistant\n" at the end if
  // `add_generation_prompt`. Roles and texts are kPlain pieces; a role is written down as it is, the caller
  // checks it. Tools and their messages are not supported: Qwen would write those differently.
  std::vector<PromptPiece> render(std::span<const ChatMessage> messages, bool add_generation_prompt) const;

 private:
  std::string default_system_;
  bool moves_thinking_ = false;  // first release of Qwen3-2507: see the .cc
};

// The pieces as one string, to look at or to compare.
std::string to_text(std::span<const PromptPiece> pieces);

}  // namespace tandem::engine
