// Text brought to one plain form, so that spellings of the same words compare equal.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tandem {

// The characters of `text` (broken UTF-8 as U+FFFD) with case and width folded: full-width forms become
// ASCII, capitals of Latin, Greek and Cyrillic small, curly quotes straight, "。" a full stop and "、" a
// comma. What only decorates (Markdown's * _ ` # ~, quotes, brackets) and every kind of white space but the
// line feed becomes one space; runs of spaces become one.
std::u32string plain_text(std::string_view text);

// The character at `at`; `at` moves behind it. `text` is valid UTF-8 and goes on there.
char32_t next_character(std::string_view text, size_t& at);

// White space (Unicode's), zero-width and direction marks included.
bool is_space(char32_t c);

// Letters and digits that make up words between borders. Chinese, Japanese and Korean characters are not:
// their words have no borders.
bool is_word_character(char32_t c);

// Only white space (Unicode's, zero-width characters included), or nothing at all. `text` is valid UTF-8.
bool is_blank(std::string_view text);

// Without the white space at both ends. `text` is valid UTF-8.
std::string_view trim_blank(std::string_view text);

}  // namespace tandem
