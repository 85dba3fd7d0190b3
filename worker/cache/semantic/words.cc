#include "worker/cache/semantic/words.h"

#include "worker/cache/semantic/characters.h"

namespace tandem::semantic {
namespace {

bool ends_sentence(char32_t c) {
  static constexpr std::u32string_view kEnds = U".!?:;\n。！？：；…\"“‘([「『《";
  return kEnds.find(c) != std::u32string_view::npos;
}

}  // namespace

std::vector<Word> words_of(std::u32string_view characters) {
  std::vector<Word> words;
  bool fresh = true;  // the next word begins a sentence
  for (size_t i = 0; i < characters.size();) {
    const char32_t c = characters[i];
    if (is_han(c)) {
      words.push_back({std::u32string(1, c), i, i + 1, true, false, fresh});
      fresh = false;
      ++i;
      continue;
    }
    if (!is_word(c)) {
      fresh = fresh || ends_sentence(c);
      ++i;
      continue;
    }
    Word word{{}, i, i, false, is_upper(c), fresh};
    for (; i < characters.size(); ++i) {
      const char32_t next = characters[i];
      if (is_word(next)) {
        word.text += lower(next);
      } else if (next != U'\'' && next != U'’') {
        break;
      }
    }
    word.end = i;
    words.push_back(std::move(word));
    fresh = false;
  }
  return words;
}

}  // namespace tandem::semantic
