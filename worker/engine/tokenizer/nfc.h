// Unicode normalisation form C: "e" and an accent become "é", so that both spellings get the same ids.

#pragma once

#include <string>
#include <string_view>

namespace tandem::engine {

// `text` (valid UTF-8) in form C. Linear in the length, whatever the text.
std::string to_nfc(std::string_view text);

// True when a quick look proves that `text` is in form C already, as nearly all text is (ASCII, Western
// European letters, Chinese, Japanese, Korean, most symbols and emoji). False says nothing.
bool is_surely_nfc(std::string_view text);

}  // namespace tandem::engine
