#include "worker/engine/tokenizer/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "shared/base/assert.h"

namespace tandem::engine {
namespace {

struct Range {
  uint32_t first, last;
};

// From U+0800 on: blocks in which every character is its own form C, never joins the one before it and is no
// combining mark. A test compares them with the full tables.
constexpr Range kStable[] = {
    {0x2002, 0x20CF}, {0x2190, 0x21CD}, {0x2460, 0x27BF},   {0x2E80, 0x2FFF},   {0x3000, 0x3029},
    {0x3030, 0x3046}, {0x3105, 0x312F}, {0x3131, 0x318E},   {0x3200, 0xA48C},   {0xAC00, 0xD7A3},
    {0xE000, 0xF8FF}, {0xFF00, 0xFFEF}, {0x1F300, 0x1FAFF}, {0x20000, 0x2A6DF},
};
// Kana has letters that take a voicing mark (U+3099), which is outside, so the letters themselves are stable
// unless they are such marks.
constexpr Range kKana[] = {{0x3047, 0x3098}, {0x309B, 0x30FF}};

bool is_stable(uint32_t character) {
  if (character >= 0x4E00 && character <= 0x9FFF) return true;  // most of all Chinese
  const auto holds = [character](Range range) { return character >= range.first && character <= range.last; };
  return std::any_of(std::begin(kStable), std::end(kStable), holds) ||
         std::any_of(std::begin(kKana), std::end(kKana), holds);
}

}  // namespace

bool is_surely_nfc(std::string_view text) {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* const end = at + text.size();
  while (at < end) {
    if (*at < 0x80) {
      ++at;
    } else if (*at < 0xCC) {  // U+0080 .. U+02FF: before the first combining mark
      at += 2;
    } else if (*at < 0xE0) {
      return false;
    } else if (*at < 0xF0) {
      if (!is_stable(uint32_t{at[0] & 0x0Fu} << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu))) return false;
      at += 3;
    } else {
      if (!is_stable(uint32_t{at[0] & 0x07u} << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 |
                     (at[3] & 0x3Fu)))
        return false;
      at += 4;
    }
  }
  return true;
}

std::vector<int32_t> characters_of(std::string_view text) {
  std::vector<int32_t> characters;
  characters.reserve(text.size() + 8);
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto* const end = at + text.size();
  while (at < end) {
    utf8proc_int32_t character = 0;
    const utf8proc_ssize_t n_bytes = utf8proc_iterate(at, end - at, &character);
    TANDEM_ASSERT(n_bytes > 0, "the text is valid UTF-8");
    at += n_bytes;
    characters.push_back(character);
  }
  return characters;
}

// utf8proc_map() would do all of this, but it sorts runs of combining marks by swapping neighbours, and a
// text of nothing but marks would keep it busy for days. So the decomposition and the sort are ours.
std::vector<int32_t> to_nfd(const std::vector<int32_t>& characters) {
  std::vector<int32_t> out;
  out.reserve(characters.size() + 8);
  for (const int32_t character : characters) {
    utf8proc_int32_t parts[8];
    int boundary = 0;
    const utf8proc_ssize_t n_parts = utf8proc_decompose_char(
        character, parts, 8, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE), &boundary);
    TANDEM_ASSERT(n_parts >= 0 && n_parts <= 8, "no character decomposes canonically into more than four");
    out.insert(out.end(), parts, parts + n_parts);
  }

  const auto combining_class = [](int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (auto run = out.begin(); run != out.end();) {
    if (combining_class(*run) == 0) {
      ++run;
      continue;
    }
    const auto run_end = std::find_if(run, out.end(), [&](int32_t c) { return combining_class(c) == 0; });
    std::stable_sort(run, run_end,
                     [&](int32_t a, int32_t b) { return combining_class(a) < combining_class(b); });
    run = run_end;
  }
  return out;
}

std::string to_nfc(std::string_view text) {
  std::vector<int32_t> characters = to_nfd(characters_of(text));
  const auto n_characters = static_cast<utf8proc_ssize_t>(characters.size());
  characters.push_back(0);  // utf8proc_reencode() ends its output with a zero byte
  const utf8proc_ssize_t n_bytes = utf8proc_reencode(
      characters.data(), n_characters, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  TANDEM_ASSERT(n_bytes >= 0, "valid characters encode");
  return std::string(reinterpret_cast<const char*>(characters.data()), static_cast<size_t>(n_bytes));
}

}  // namespace tandem::engine
