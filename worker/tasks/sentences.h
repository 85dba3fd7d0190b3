// Where a text may be taken apart: the ends of its sentences, in Chinese and in English, and softer places
// inside sentences that are too long.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tandem {

// How good a place is, the best first.
enum class TextEnd : uint8_t {
  kParagraph,  // a blank line
  kSentence,   // 。！？ or . ! ? … with what closes behind them, or the end of a line
  kClause,     // ，；： or , ; : and the like
  kSpace,      // between words
  kInside,     // none of these
};

struct TextUnit {
  size_t end = 0;  // behind it; it begins where the one before it ends
  TextEnd kind = TextEnd::kInside;
};

// The sentences of `text` (valid UTF-8), in order and without gaps: white space belongs to the sentence in
// front of it. The last one is kInside if the text only stops there.
//
// A full stop is no end in a number ("3.14"), behind an abbreviation ("Dr. Wu", "e.g. this"), an initial
// ("J. Smith") or the number of a list ("1. first"), and in front of a small letter. A line feed always is
// one.
std::vector<TextUnit> sentences(std::string_view text);

// A sentence that is too long, in parts of at most `chars_max` characters and `bytes_max` bytes: at clauses;
// a clause that is too long at spaces; a word that is too long between characters, at places that its own
// characters choose (so that an edit moves the ends around it only). A single character is never parted,
// whatever it has. The last part ends as `kind` says. Ends count from the beginning of `sentence`.
std::vector<TextUnit> soft_parts(std::string_view sentence, TextEnd kind, size_t chars_max, size_t bytes_max);

// `text` without the unfinished sentence at its end, if that takes a quarter of it at most; else all of it.
std::string_view whole_sentences_from_start(std::string_view text);
// The same at its beginning: it starts in the middle of a sentence.
std::string_view whole_sentences_to_end(std::string_view text);

}  // namespace tandem
