#include "worker/engine/tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

namespace tandem::engine {
namespace {

constexpr uint32_t kCharactersMax = 256 + 68;

struct Alphabet {
  std::array<uint16_t, 256> character_of{};
  std::array<int16_t, kCharactersMax> byte_of{};
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (auto& byte : alphabet.byte_of) byte = -1;
  uint16_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const uint16_t character = printable ? static_cast<uint16_t>(byte) : next++;
    alphabet.character_of[static_cast<size_t>(byte)] = character;
    alphabet.byte_of[character] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (size_t i = 0; i < spelling.size(); ++i) {
    // All characters of the alphabet are below U+0144: one or two bytes of UTF-8.
    uint32_t character = static_cast<uint8_t>(spelling[i]);
    if (character >= 0x80) {
      if (character >= 0xE0 || i + 1 >= spelling.size()) return std::nullopt;
      character = (character & 0x1F) << 6 | (static_cast<uint8_t>(spelling[++i]) & 0x3F);
    }
    if (character >= kCharactersMax || kAlphabet.byte_of[character] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.byte_of[character]));
  }
  return bytes;
}

std::string spelling_of_bytes(std::string_view bytes) {
  std::string spelling;
  for (const char byte : bytes) {
    const uint16_t character = kAlphabet.character_of[static_cast<uint8_t>(byte)];
    if (character < 0x80) {
      spelling.push_back(static_cast<char>(character));
    } else {
      spelling.push_back(static_cast<char>(0xC0 | character >> 6));
      spelling.push_back(static_cast<char>(0x80 | (character & 0x3F)));
    }
  }
  return spelling;
}

}  // namespace tandem::engine
