#include "shared/base/utf8.h"

#include <cstdint>
#include <cstdio>

namespace tandem {
namespace {

// The length of the character that starts at `at`, or 0; `bad` gets the length of the maximal invalid
// subpart.
size_t character_at(std::string_view text, size_t at, size_t& bad) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const uint8_t lead = byte(0);
  bad = 1;
  if (lead < 0x80) return 1;

  size_t length = 0;
  uint8_t low = 0x80, high = 0xBF;  // bounds of the second byte; see RFC 3629, section 4
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  for (size_t i = 1; i < length; ++i) {
    if (at + i >= text.size() || byte(i) < low || byte(i) > high) {
      bad = i;
      return 0;
    }
    low = 0x80;
    high = 0xBF;
  }
  return length;
}

}  // namespace

size_t utf8_valid_prefix(std::string_view text) {
  size_t at = 0, bad = 0;
  while (at < text.size()) {
    const size_t length = character_at(text, at, bad);
    if (length == 0) break;
    at += length;
  }
  return at;
}

Result<void> check_utf8(std::string_view text) {
  const size_t good = utf8_valid_prefix(text);
  if (good == text.size()) return {};
  std::string bytes;
  for (size_t i = good; i < text.size() && i < good + 4; ++i) {
    char hex[8];
    std::snprintf(hex, sizeof hex, "%s%02x", bytes.empty() ? "" : " ", static_cast<uint8_t>(text[i]));
    bytes += hex;
  }
  return fail(ErrorCode::kInvalid,
              "expected UTF-8, found the bytes " + bytes + " at offset " + std::to_string(good));
}

std::string utf8_lossy(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t at = 0, bad = 0;
  while (at < text.size()) {
    if (const size_t length = character_at(text, at, bad); length > 0) {
      out.append(text, at, length);
      at += length;
    } else {
      out += "\xEF\xBF\xBD";
      at += bad;
    }
  }
  return out;
}

size_t utf8_length(std::string_view text) {
  size_t n = 0;
  for (const char c : text) n += (static_cast<uint8_t>(c) & 0xC0) != 0x80;
  return n;
}

}  // namespace tandem
