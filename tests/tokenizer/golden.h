// The recorded answers of the reference implementation. What is small lies in tests/data/golden; the real
// tokenizers stay in ../shared/golden beside the repository, or in $TANDEM_SHARED/golden, and their tests are
// skipped without it.

#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "worker/engine/tokenizer/chat_template.h"
#include "worker/engine/tokenizer/tokenizer.h"

namespace tandem::engine::golden {

inline const std::filesystem::path kFolder = "data/golden";

nlohmann::json read_json(const std::filesystem::path& path);
nlohmann::ordered_json read_ordered_json(const std::filesystem::path& path);
std::string read_text(const std::filesystem::path& path);

// Loaded once: of the tiny Qwen2 models, and "qwen1_5" or "qwen3" (null when ../shared is absent).
const Tokenizer& tiny_tokenizer();
const Tokenizer* real_tokenizer(const std::string& name);
std::filesystem::path shared_folder();

// Every case of a tokenizer_*.json: ids, plain ids, and the text back. Counts the cases.
void expect_cases(const Tokenizer& tokenizer, const nlohmann::json& cases);

// A case of chat.json.
struct Chat {
  std::vector<ChatMessage> messages;
  std::vector<std::string> tools;
};
Chat chat_of(const nlohmann::ordered_json& chat_case);

inline constexpr const char* kWhySkipped =
    "the real tokenizers are not here: expected ../shared/golden beside the repository, or TANDEM_SHARED";

}  // namespace tandem::engine::golden
