// How BERT cleans a text and cuts it into words, before any vocabulary is looked at.

#pragma once

#include <functional>
#include <string_view>

namespace tandem::engine {

// What tokenizer.json says of its BertNormalizer. The defaults are those of uncased models.
struct BertWordRules {
  bool clean = true;          // drop NUL, U+FFFD and control characters; white space becomes a space
  bool split_chinese = true;  // every Chinese character is a word of its own
  bool strip_accents = true;  // "é" becomes "e": form D without its nonspacing marks
  bool lowercase = true;      // each character on its own: no final sigma
};

// Calls `take` with each word of `text` (valid UTF-8), in order, until it answers false: runs without white
// space, each sign of punctuation (ASCII signs, Unicode P*) a word of its own. A word is never empty and
// lives until `take` returns. The order of the rules and their sets of characters are those of the reference
// (tokenizers 0.23, BertNormalizer and BertPreTokenizer), with what is odd in them.
void for_each_bert_word(std::string_view text, const BertWordRules& rules,
                        const std::function<bool(std::string_view)>& take);

}  // namespace tandem::engine
