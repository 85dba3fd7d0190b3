#include "worker/cache/semantic/text_facts.h"

#include <algorithm>

#include "worker/cache/semantic/characters.h"
#include "worker/cache/semantic/words.h"

namespace tandem::semantic {
namespace {

using View = std::u32string_view;

bool is_address_sign(char32_t c) {
  return c == U'@' || c == U'.' || c == U'/' || c == U'_' || c == U':' || c == U'-';
}

// Letters, digits and the signs inside of addresses.
std::string flat(View small) {
  std::u32string out;
  for (size_t i = 0; i < small.size(); ++i) {
    const char32_t c = small[i];
    const bool inside = i > 0 && i + 1 < small.size() && is_word(small[i - 1]) &&
                        (is_word(small[i + 1]) || small[i + 1] == U'/');
    if (is_han(c) || is_word(c) || (is_address_sign(c) && inside)) out += c;
  }
  return to_utf8(out);
}

void read_scripts(View characters, TextFacts& facts) {
  size_t n = 0;
  for (const char32_t c : characters) {
    const Script script = script_of(c);
    if (script == Script::kNone) {
      facts.n_letters += is_digit(c);
      continue;
    }
    facts.scripts[static_cast<size_t>(script)] += 1;
    ++n;
  }
  facts.n_letters += n;
  for (double& share : facts.scripts) share /= static_cast<double>(std::max<size_t>(n, 1));
}

// Contents of quotes that are closed again within the text. A lone ' or a " of inches opens nothing.
void read_quoted(View small, TextFacts& facts) {
  struct Quotes {
    char32_t open, close;
  };
  static constexpr Quotes kQuotes[] = {{U'“', U'”'},   {U'‘', U'’'}, {U'《', U'》'}, {U'「', U'」'},
                                       {U'『', U'』'}, {U'"', U'"'}, {U'`', U'`'}};
  for (size_t i = 0; i < small.size(); ++i) {
    for (const Quotes& quotes : kQuotes) {
      if (small[i] != quotes.open) continue;
      const size_t end = small.find(quotes.close, i + 1);
      if (end == View::npos) continue;
      const std::string content = flat(small.substr(i + 1, end - i - 1));
      if (!content.empty()) facts.quoted.insert(content);
      i = end;
      break;
    }
  }
}

// Pieces between spaces (and Han) with an @, a :// or a dot between letters.
void read_addresses(View small, TextFacts& facts) {
  for (size_t i = 0; i < small.size();) {
    if (is_space(small[i]) || is_han(small[i])) {
      ++i;
      continue;
    }
    const size_t begin = i;
    while (i < small.size() && !is_space(small[i]) && !is_han(small[i])) ++i;
    const View piece = small.substr(begin, i - begin);
    bool is_address = piece.find(U'@') != View::npos || piece.find(U"://") != View::npos;
    for (size_t n = 1; n + 1 < piece.size(); ++n) {
      const bool letters =
          script_of(piece[n - 1]) == Script::kLatin && script_of(piece[n + 1]) == Script::kLatin;
      is_address = is_address || ((piece[n] == U'.' || piece[n] == U'_') && letters);
    }
    const std::string address = flat(piece);
    if (is_address && !address.empty()) facts.quoted.insert(address);
  }
}

void read_names(const std::vector<Word>& words, TextFacts& facts) {
  size_t n_words = 0, n_capitals = 0;
  for (const Word& word : words) {
    n_words += !word.han;
    n_capitals += word.capital;
    if (!word.han) facts.words.insert(to_utf8(word.text));
  }
  const bool titled = n_words >= 4 && n_capitals * 2 > n_words;  // A Title, or somebody who shouts
  const bool in_han = facts.scripts[static_cast<size_t>(Script::kHan)] >= 0.4;
  for (const Word& word : words) {
    if (word.han) continue;
    const bool has_digit = std::any_of(word.text.begin(), word.text.end(), is_digit);
    const bool has_letter = std::any_of(word.text.begin(), word.text.end(),
                                        [](char32_t c) { return script_of(c) != Script::kNone; });
    const bool i_am = word.text == U"i" || word.text == U"im" || word.text == U"ive" || word.text == U"ill" ||
                      word.text == U"id";
    const bool named = word.capital && !word.begins_sentence && !titled && !i_am;
    if ((has_digit && has_letter) || named || (in_han && has_letter)) facts.names.insert(to_utf8(word.text));
  }
}

}  // namespace

TextFacts facts_of(std::string_view text) {
  TextFacts facts;
  const std::u32string characters = characters_of(text);
  const std::u32string small = lower(characters);
  const std::vector<Word> words = words_of(characters);

  read_scripts(characters, facts);
  facts.flat = flat(small);
  for (const Word& word : words) facts.n_units += word.han ? 1 : 2;
  facts.numbers = numbers_in(characters);
  read_polarity(small, facts);
  read_names(words, facts);
  read_quoted(small, facts);
  read_addresses(small, facts);
  return facts;
}

}  // namespace tandem::semantic
