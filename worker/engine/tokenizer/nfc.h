// Unicode normalisation form C: "e" and an accent become "é", so that both spellings get the same ids.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::engine {

// `text` (valid UTF-8) in form C. Linear in the length, whatever the text.
std::string to_nfc(std::string_view text);

// The characters of `text` (valid UTF-8), and the characters in form D: taken apart into base letters and
// marks, marks in their canonical order. Both linear.
std::vector<int32_t> characters_of(std::string_view text);
std::vector<int32_t> to_nfd(const std::vector<int32_t>& characters);

// True when a quick look proves that `text` is in form C already, as nearly all text is (ASCII, Western
// European letters, Chinese, Japanese, Korean, most symbols and emoji). False says nothing.
bool is_surely_nfc(std::string_view text);

}  // namespace tandem::engine
