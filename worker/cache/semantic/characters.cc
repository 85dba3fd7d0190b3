#include "worker/cache/semantic/characters.h"

#include "shared/base/utf8.h"
#include "worker/engine/tokenizer/nfc.h"

namespace tandem::semantic {
namespace {

bool within(char32_t c, char32_t first, char32_t last) {
  return c >= first && c <= last;
}

}  // namespace

std::u32string characters_of(std::string_view text) {
  const std::string valid = utf8_valid_prefix(text) == text.size() ? std::string(text) : utf8_lossy(text);
  const std::string composed = engine::is_surely_nfc(valid) ? valid : engine::to_nfc(valid);
  std::u32string out;
  out.reserve(composed.size());
  for (const int32_t c : engine::characters_of(composed)) {
    if (within(static_cast<char32_t>(c), 0xFF01, 0xFF5E)) {
      out += static_cast<char32_t>(c - 0xFEE0);
    } else {
      out += c == 0x3000 ? U' ' : static_cast<char32_t>(c);
    }
  }
  return out;
}

std::string to_utf8(std::u32string_view characters) {
  std::string out;
  for (const char32_t c : characters) {
    const auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xC0 | (c >> 6)), put(0x80 | (c & 63));
    } else if (c < 0x10000) {
      put(0xE0 | (c >> 12)), put(0x80 | ((c >> 6) & 63)), put(0x80 | (c & 63));
    } else {
      put(0xF0 | (c >> 18)), put(0x80 | ((c >> 12) & 63)), put(0x80 | ((c >> 6) & 63)), put(0x80 | (c & 63));
    }
  }
  return out;
}

bool is_upper(char32_t c) {
  return lower(c) != c;
}

char32_t lower(char32_t c) {
  if (within(c, U'A', U'Z') || (within(c, 0xC0, 0xDE) && c != 0xD7)) return c + 32;
  if (within(c, 0x391, 0x3A9) || within(c, 0x410, 0x42F)) return c + 32;
  return within(c, 0x400, 0x40F) ? c + 80 : c;
}

std::u32string lower(std::u32string_view characters) {
  std::u32string out(characters);
  for (char32_t& c : out) c = lower(c);
  return out;
}

bool is_digit(char32_t c) {
  return within(c, U'0', U'9');
}

bool is_han(char32_t c) {
  return within(c, 0x4E00, 0x9FFF) || within(c, 0x3400, 0x4DBF) || within(c, 0xF900, 0xFAFF) ||
         within(c, 0x20000, 0x3134F);
}

bool is_space(char32_t c) {
  return c == U' ' || within(c, 9, 13) || c == 0xA0 || within(c, 0x2000, 0x200B) || c == 0x2028 ||
         c == 0x2029;
}

bool is_word(char32_t c) {
  if (c < 0x80) return is_digit(c) || within(c, U'a', U'z') || within(c, U'A', U'Z');
  return !(c < 0xC0 || c == 0xD7 || c == 0xF7 || within(c, 0x2000, 0x2BFF) || within(c, 0x3000, 0x303F) ||
           within(c, 0xFE00, 0xFE6F) || within(c, 0xFF00, 0xFFEF) || within(c, 0xD800, 0xF8FF) ||
           within(c, 0x1F000, 0x1FAFF) || c == 0xFFFD || is_han(c));
}

Script script_of(char32_t c) {
  if (is_han(c)) return Script::kHan;
  if (!is_word(c) || is_digit(c)) return Script::kNone;
  if (c < 0x250) return Script::kLatin;
  if (within(c, 0x3040, 0x30FF)) return Script::kKana;
  if (within(c, 0xAC00, 0xD7A3) || within(c, 0x1100, 0x11FF)) return Script::kHangul;
  if (within(c, 0x400, 0x52F)) return Script::kCyrillic;
  return within(c, 0x600, 0x6FF) ? Script::kArabic : Script::kOther;
}

std::string_view to_string(Script script) {
  switch (script) {
    case Script::kNone:
      return "none";
    case Script::kHan:
      return "Han";
    case Script::kLatin:
      return "Latin";
    case Script::kKana:
      return "Kana";
    case Script::kHangul:
      return "Hangul";
    case Script::kCyrillic:
      return "Cyrillic";
    case Script::kArabic:
      return "Arabic";
    case Script::kOther:
      return "other";
  }
  return "other";
}

}  // namespace tandem::semantic
