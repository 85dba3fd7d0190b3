// A text as a row of words: what the gates and the n-grams look at.

#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tandem::semantic {

// A run of letters and digits ("iphone6"), or one Han character. An apostrophe inside a word is left out
// ("dont").
struct Word {
  std::u32string text;  // small letters
  size_t begin = 0;     // in the characters it was read from
  size_t end = 0;
  bool han = false;
  bool capital = false;          // began with a capital letter
  bool begins_sentence = false;  // first of the text, or after . ! ? : and the like
};

std::vector<Word> words_of(std::u32string_view characters);

// Which entries of a list of words begin with a character: lists are long, and most characters begin none.
class FirstCharacters {
 public:
  template <typename List, typename Names>
  FirstCharacters(const List& list, Names&& names) {
    for (size_t i = 0; i < list.size(); ++i) {
      for (const std::u32string_view name : names(list[i])) {
        std::vector<size_t>& entries = by_first_[name.front()];
        if (entries.empty() || entries.back() != i) entries.push_back(i);
      }
    }
  }
  const std::vector<size_t>& of(char32_t first) const {
    static const std::vector<size_t> kNone;
    const auto found = by_first_.find(first);
    return found == by_first_.end() ? kNone : found->second;
  }

 private:
  std::unordered_map<char32_t, std::vector<size_t>> by_first_;
};

}  // namespace tandem::semantic
