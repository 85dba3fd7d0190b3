#include "worker/tasks/plain_text.h"

#include <algorithm>

#include "shared/base/utf8.h"

namespace tandem {
namespace {

bool is_decoration(char32_t c) {
  static constexpr std::u32string_view kDecoration = U"*_`#~\"()[]{}<>“”„«»‹›「」『』【】《》〈〉〔〕";
  return kDecoration.find(c) != std::u32string_view::npos;
}

char32_t fold(char32_t c) {
  if (c >= 0xFF01 && c <= 0xFF5E) c -= 0xFEE0;  // full-width forms of ! to ~
  if (c >= 'A' && c <= 'Z') return c + 32;
  if ((c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3A9) || (c >= 0x410 && c <= 0x42F)) {
    return c + 32;
  }
  if (c >= 0x400 && c <= 0x40F) return c + 80;
  if (c == 0x2018 || c == 0x2019 || c == 0x02BC || c == 0xB4) return '\'';
  if (c == 0x3002 || c == 0xFF61) return '.';
  if (c == 0x3001 || c == 0xFF64) return ',';
  if (c == 0x2014 || c == 0x2013 || c == 0x2026) return ';';  // dashes and dots part clauses
  return c;
}

}  // namespace

char32_t next_character(std::string_view text, size_t& at) {
  const auto lead = static_cast<uint8_t>(text[at++]);
  if (lead < 0x80) return lead;
  const int n_more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  char32_t c = lead & (0x3F >> n_more);
  for (int i = 0; i < n_more; ++i) c = (c << 6) | (static_cast<uint8_t>(text[at++]) & 0x3F);
  return c;
}

bool is_space(char32_t c) {
  switch (c) {
    case 0x85:
    case 0xA0:
    case 0x1680:
    case 0x202F:
    case 0x205F:
    case 0x2060:
    case 0x3000:
    case 0xFEFF:
      return true;
    default:
      return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F) ||
             (c >= 0x2000 && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E);
  }
}

std::u32string plain_text(std::string_view text) {
  const std::string valid = utf8_lossy(text);
  std::u32string plain;
  plain.reserve(valid.size());
  for (size_t at = 0; at < valid.size();) {
    char32_t c = next_character(valid, at);
    if (c == '\r') c = '\n';
    if (c != '\n') {
      c = fold(c);
      if (is_space(c) || is_decoration(c)) c = ' ';
    }
    if (c == ' ' && !plain.empty() && plain.back() == ' ') continue;
    plain += c;
  }
  return plain;
}

bool is_word_character(char32_t c) {
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return (c >= 0xC0 && c <= 0x24F && c != 0xD7 && c != 0xF7) || (c >= 0x370 && c <= 0x52F);
}

bool is_blank(std::string_view text) {
  return trim_blank(text).empty();
}

std::string_view trim_blank(std::string_view text) {
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    if (is_space(next_character(text, at))) continue;
    begin = std::min(begin, from);
    end = at;
  }
  return begin < end ? text.substr(begin, end - begin) : std::string_view();
}

}  // namespace tandem
