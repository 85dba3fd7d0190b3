#include "shared/base/printable.h"

#include <cstdint>

#include "shared/base/utf8.h"

namespace tandem {
namespace {

// The bytes of the control character or turn of direction that `text`, which is valid UTF-8, begins with; 0
// if it begins with something else.
size_t unprintable_at(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0; };
  if (byte(0) < 0x20 || byte(0) == 0x7F) return 1;
  if (byte(0) == 0xC2 && byte(1) < 0xA0) return 2;  // U+0080 to U+009F
  if (byte(0) != 0xE2) return 0;
  if (byte(1) == 0x80 && byte(2) >= 0xA8 && byte(2) <= 0xAE) return 3;  // U+2028 to U+202E
  if (byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9) return 3;  // U+2066 to U+2069
  return 0;
}

std::string cleaned(std::string_view text, std::string_view kept) {
  const std::string valid = utf8_lossy(text);
  std::string out;
  out.reserve(valid.size());
  for (size_t at = 0; at < valid.size();) {
    const size_t n_bad = unprintable_at(std::string_view(valid).substr(at));
    if (n_bad == 0 || kept.find(valid[at]) != std::string_view::npos) {
      out += valid[at++];
    } else {
      out += ' ';
      at += n_bad;
    }
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) {
  return cleaned(text, "");
}

std::string printable_lines(std::string_view text) {
  return cleaned(text, "\n\t");
}

bool is_printable(std::string_view text) {
  return printable(text) == text;
}

}  // namespace tandem
