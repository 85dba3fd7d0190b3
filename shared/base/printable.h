// Texts from outside, made harmless for terminals and logs.

#pragma once

#include <string>
#include <string_view>

namespace tandem {

// One line: bytes that are no UTF-8 become U+FFFD; line ends, tabs and control characters (which could move
// the cursor, change colours, or begin a line that looks like another's) become a space, and so do the
// characters that turn the direction of writing around.
std::string printable(std::string_view text);

// The same, but line ends and tabs stay: for texts of several lines.
std::string printable_lines(std::string_view text);

// Whether printable() would change it.
bool is_printable(std::string_view text);

}  // namespace tandem
