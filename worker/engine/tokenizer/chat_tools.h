// Tools in a prompt: what Qwen2.5 and Qwen3 write of the functions that a model may call, of its calls, and
// of what came back.

#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/prompt_writer.h"

namespace tandem::engine {

// True when a template writes of tools what the functions below write.
bool writes_tools(std::string_view jinja);

// The system message with the tools in it. `system` is the caller's, or the family's default, or nothing.
void write_tools(PromptWriter& write, std::optional<std::string_view> system,
                 std::span<const std::string> tools);

// The calls at the end of an assistant's message, which has text in front of them or not.
void write_calls(PromptWriter& write, bool after_text, std::span<const ToolCall> calls);

// One answer of a tool, inside a turn of the user. <tool_response> is a token of Qwen3's tokenizers only; to
// Qwen2.5's it is text.
void write_response(PromptWriter& write, std::string_view text, bool marks_are_tokens);

}  // namespace tandem::engine
