// Characters of users' texts, as all of the semantic tier sees them.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tandem::semantic {

enum class Script : uint8_t { kNone, kHan, kLatin, kKana, kHangul, kCyrillic, kArabic, kOther };

// The characters of `text` in form C, full-width forms of ASCII as ASCII. Invalid bytes become U+FFFD. Cases
// stay.
std::u32string characters_of(std::string_view text);
std::string to_utf8(std::u32string_view characters);

// Small letters of ASCII, Latin-1, Greek and Cyrillic; others stay. No locale: the same everywhere.
char32_t lower(char32_t c);
std::u32string lower(std::u32string_view characters);
bool is_upper(char32_t c);

bool is_digit(char32_t c);  // ASCII
bool is_han(char32_t c);
bool is_space(char32_t c);
// Letters of every script but Han, and digits: what words are made of.
bool is_word(char32_t c);
// kNone for digits, spaces and signs.
Script script_of(char32_t c);
std::string_view to_string(Script script);

}  // namespace tandem::semantic
