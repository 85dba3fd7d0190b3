// ChatML, the prompt form of Qwen: messages in, prompt pieces out.

#pragma once

#include <filesystem>
#include <span>
#include <string>
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
  // Tells the family from the chat_template in `folder`/tokenizer_config.json by recognising the known
  // official ones: Qwen1.5/Qwen2 (a default system message when messages[0] is none) and Qwen3-2507 (none).
  // kUnsupported for a template it does not know; without any template, Qwen1.5's.
  static Result<ChatTemplate> load(const std::filesystem::path& folder);
  // `default_system` is put in front when messages[0] is not a system message; "" for none.
  explicit ChatTemplate(std::string default_system) : default_system_(std::move(default_system)) {}

  // "<|im_start|>{role}\n{text}<|im_end|>\n" for each message, and "<|im_start|>assistant\n" at the end if
  // `add_generation_prompt`. Texts are kPlain pieces.
  std::vector<PromptPiece> render(std::span<const ChatMessage> messages, bool add_generation_prompt) const;

 private:
  std::string default_system_;
};

// The pieces as one string, to look at or to compare.
std::string to_text(std::span<const PromptPiece> pieces);

}  // namespace tandem::engine
