#include "worker/engine/tokenizer/bert_words.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "worker/engine/tokenizer/nfc.h"

namespace tandem::engine {
namespace {

using Characters = std::vector<int32_t>;

// A text is worked on in pieces of about this size, so that who wants the first 256 tokens of a long one does
// not pay for all of it. Pieces end in front of a space, which nothing here joins to what came before.
constexpr size_t kPieceBytes = 8192;

struct Range {
  int32_t first, last;
};
bool in_one_of(int32_t c, const Range* begin, const Range* end) {
  return std::any_of(begin, end, [c](Range range) { return c >= range.first && c <= range.last; });
}

// As the reference has it: U+2B820..U+2B91F is left out.
constexpr Range kChinese[] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
                              {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
constexpr Range kWhiteSpace[] = {{0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},
                                 {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                                 {0x205F, 0x205F}, {0x3000, 0x3000}};
constexpr Range kAsciiSigns[] = {{0x21, 0x2F}, {0x3A, 0x40}, {0x5B, 0x60}, {0x7B, 0x7E}};

bool is_chinese(int32_t c) {
  return c >= 0x3400 && in_one_of(c, std::begin(kChinese), std::end(kChinese));
}
bool is_white_space(int32_t c) {
  return in_one_of(c, std::begin(kWhiteSpace), std::end(kWhiteSpace));
}
bool is_punctuation(int32_t c) {
  if (c < 0x80) return in_one_of(c, std::begin(kAsciiSigns), std::end(kAsciiSigns));
  const utf8proc_category_t category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}
// Unassigned characters stay, others than the slow tokenizer of Python has it.
bool is_dropped(int32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  if (c == 0 || c == 0xFFFD) return true;
  const utf8proc_category_t category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_CO;
}

Characters clean(const Characters& characters) {
  Characters out;
  for (const int32_t c : characters) {
    if (!is_dropped(c)) out.push_back(is_white_space(c) ? ' ' : c);
  }
  return out;
}

Characters space_around_chinese(const Characters& characters) {
  Characters out;
  for (const int32_t c : characters) {
    if (is_chinese(c)) {
      out.insert(out.end(), {' ', c, ' '});
    } else {
      out.push_back(c);
    }
  }
  return out;
}

void strip_accents(Characters& characters) {
  characters = to_nfd(characters);
  std::erase_if(characters, [](int32_t c) { return utf8proc_category(c) == UTF8PROC_CATEGORY_MN; });
}

Characters lowercase(const Characters& characters) {
  Characters out;
  for (const int32_t c : characters) {
    if (c == 0x130) {  // the one capital letter whose small form is two characters
      out.insert(out.end(), {'i', 0x307});
    } else {
      out.push_back(utf8proc_tolower(c));
    }
  }
  return out;
}

// False when `take` has enough.
bool words_of_piece(std::string_view text, const BertWordRules& rules,
                    const std::function<bool(std::string_view)>& take) {
  Characters characters = characters_of(text);
  if (rules.clean) characters = clean(characters);
  if (rules.split_chinese) characters = space_around_chinese(characters);
  if (rules.strip_accents) strip_accents(characters);
  if (rules.lowercase) characters = lowercase(characters);

  std::string word;
  const auto finish = [&] {
    if (word.empty()) return true;
    const bool goes_on = take(word);
    word.clear();
    return goes_on;
  };
  for (const int32_t c : characters) {
    const bool separate = is_punctuation(c);
    if ((separate || is_white_space(c)) && !finish()) return false;
    if (is_white_space(c)) continue;
    utf8proc_uint8_t bytes[4];
    word.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(utf8proc_encode_char(c, bytes)));
    if (separate && !finish()) return false;
  }
  return finish();
}

}  // namespace

void for_each_bert_word(std::string_view text, const BertWordRules& rules,
                        const std::function<bool(std::string_view)>& take) {
  while (!text.empty()) {
    const size_t end = text.size() <= kPieceBytes ? text.size() : text.find(' ', kPieceBytes);
    if (!words_of_piece(text.substr(0, end), rules, take)) return;
    text.remove_prefix(std::min(end, text.size()));
  }
}

}  // namespace tandem::engine
