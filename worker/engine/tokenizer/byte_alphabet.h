// The alphabet of byte-level BPE: every byte has a printable character, so that vocabularies can be JSON.
// Printable Latin-1 bytes stand for themselves, the other 68 for U+0100 and up, in order (as GPT-2 did it).

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tandem::engine {

// "Ġhello" -> " hello". Nothing when `spelling` (valid UTF-8) has a character that stands for no byte.
std::optional<std::string> bytes_of_spelling(std::string_view spelling);

// " hello" -> "Ġhello", to name a token in an error.
std::string spelling_of_bytes(std::string_view bytes);

}  // namespace tandem::engine
