#include "worker/engine/constraint/regex_characters.h"

namespace tandem::engine {

std::u32string characters_of(std::string_view text) {
  std::u32string characters;
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<uint8_t>(text[at]);
    const size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    char32_t c = n == 1 ? lead : lead & (0x7Fu >> n);
    for (size_t i = 1; i < n; ++i) c = c << 6 | (static_cast<uint8_t>(text[at + i]) & 0x3Fu);
    characters.push_back(c);
    at += n;
  }
  return characters;
}

std::string utf8_of(char32_t c) {
  std::string text;
  const auto sequences = utf8_sequences({{c, c}});
  for (const ByteRange& byte : sequences.at(0)) text += static_cast<char>(byte.first);
  return text;
}

bool is_ascii_punctuation(char32_t c) {
  return is_between(c, '!', '/') || is_between(c, ':', '@') || is_between(c, '[', '`') ||
         is_between(c, '{', '~');
}
int hex_value(char32_t c) {
  if (is_between(c, '0', '9')) return static_cast<int>(c - '0');
  if (is_between(c, 'a', 'f')) return static_cast<int>(c - 'a') + 10;
  if (is_between(c, 'A', 'F')) return static_cast<int>(c - 'A') + 10;
  return -1;
}

std::optional<CodePoints> class_of_letter(char32_t letter) {
  const CodePoints digits{{'0', '9'}};
  const CodePoints words{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  const CodePoints spaces{{'\t', '\r'}, {' ', ' '}};
  switch (letter) {
    case 'd':
      return digits;
    case 'D':
      return digits.complement();
    case 'w':
      return words;
    case 'W':
      return words.complement();
    case 's':
      return spaces;
    case 'S':
      return spaces.complement();
    default:
      return std::nullopt;
  }
}

}  // namespace tandem::engine
