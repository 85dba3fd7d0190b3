// How many columns of a terminal a text takes: Chinese characters and emoji take two, combining marks none.
// A table of our own, because wcwidth() depends on the locale and an unset one counts every byte.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "shared/base/printable.h"

namespace tandem::cli {

// `text` is valid UTF-8; control characters count as one (printable() replaces them).
size_t display_width(std::string_view text);

// The longest beginning of at most `width` columns; with … as its last column if something was cut.
std::string cut_to_width(std::string_view text, size_t width);

// Cut or filled with spaces to exactly `width` columns.
std::string fit_to_width(std::string_view text, size_t width);

// Columns of the terminal behind `fd`; $COLUMNS, or `otherwise`, when it is none.
size_t terminal_width(int fd, size_t otherwise);

}  // namespace tandem::cli
