// Characters as regular expressions name them.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "worker/engine/constraint/code_points.h"

namespace tandem::engine {

// `text` is valid UTF-8.
std::u32string characters_of(std::string_view text);
std::string utf8_of(char32_t c);

inline bool is_between(char32_t c, char32_t first, char32_t last) {
  return first <= c && c <= last;
}
bool is_ascii_punctuation(char32_t c);
int hex_value(char32_t c);  // -1: no hexadecimal digit

// What \d, \w, \s and their capitals stand for.
std::optional<CodePoints> class_of_letter(char32_t letter);

}  // namespace tandem::engine
