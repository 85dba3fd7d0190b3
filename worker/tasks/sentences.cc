#include "worker/tasks/sentences.h"

#include <algorithm>
#include <array>
#include <string>

#include "shared/base/hash.h"
#include "shared/base/utf8.h"
#include "worker/tasks/plain_text.h"

namespace tandem {
namespace {

bool is_one_of(char32_t c, std::u32string_view set) {
  return set.find(c) != std::u32string_view::npos;
}
// Ends a sentence whatever follows.
bool is_wide_mark(char32_t c) {
  return is_one_of(c, U"。！？｡‼⁇⁈⁉");
}
// Ends a sentence if what follows says so.
bool is_mark(char32_t c) {
  return is_one_of(c, U".!?…");
}
// Most characters are none of these: letters, and everything Chinese between the punctuation of two blocks.
bool may_end(char32_t c) {
  return c < 0x80 ? c == '\n' || c == '.' || c == '!' || c == '?'
                  : c >= 0x2026 && (c <= 0x3002 || c >= 0xFF01);
}
bool closes(char32_t c) {
  return is_one_of(c, U"\"')]}”’»›」』）】》〉〕｝］");
}
// Chinese, Japanese, Korean: written without spaces between sentences.
bool is_wide(char32_t c) {
  return c >= 0x2E80;
}
bool is_small_letter(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 0xDF && c <= 0xFF && c != 0xF7);
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

char32_t peek(std::string_view text, size_t at) {
  return next_character(text, at);
}

// What a full stop usually does not end. Those that end sentences as often ("etc.", "p.m.", "Inc.") are left
// to the letter that follows.
constexpr std::array<std::string_view, 48> kAbbreviations = {
    "al",   "apr", "approx", "aug", "ave", "blvd", "ca",  "capt", "cf",  "ch",   "col", "dec",
    "dept", "dr",  "e.g",    "ed",  "eds", "eq",   "est", "feb",  "fig", "figs", "gen", "gov",
    "hon",  "i.e", "jan",    "jr",  "jul", "jun",  "lt",  "mr",   "mrs", "ms",   "mt",  "nov",
    "oct",  "pp",  "prof",   "rev", "sec", "sen",  "sep", "sept", "sgt", "st",   "viz", "vol"};

// A full stop at `dot`, white space behind it, then `next`: whether the sentence that began at `begin` goes
// on.
bool is_no_end(std::string_view text, size_t begin, size_t dot, char32_t next) {
  if (is_small_letter(next)) return true;
  constexpr size_t kWordMax = 8;
  size_t from = dot;
  while (from > begin && dot - from < kWordMax &&
         (is_letter(text[from - 1]) || is_digit(text[from - 1]) || text[from - 1] == '.'))
    --from;
  std::string word(text.substr(from, dot - from));
  if (word.empty()) return false;
  if (std::all_of(word.begin(), word.end(), is_digit)) return from == begin;  // "1. first"
  if (word.size() == 1) return word[0] >= 'A' && word[0] <= 'Z' && word[0] != 'I';
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (word == "no" || word == "nos" || word == "vs") return word == "vs" || (next >= '0' && next <= '9');
  return std::find(kAbbreviations.begin(), kAbbreviations.end(), word) != kAbbreviations.end();
}

// Behind the white space at `at`; whether there was a blank line in it.
size_t behind_space(std::string_view text, size_t at, bool& blank_line) {
  size_t n_lines = 0;
  while (at < text.size()) {
    size_t behind = at;
    const char32_t c = next_character(text, behind);
    if (!is_space(c)) break;
    n_lines += c == '\n';
    at = behind;
  }
  blank_line = n_lines >= 2;
  return at;
}

template <typename Belongs>
size_t behind_all(std::string_view text, size_t at, Belongs belongs) {
  while (at < text.size()) {
    size_t behind = at;
    if (!belongs(next_character(text, behind))) break;
    at = behind;
  }
  return at;
}

// The unit that begins at `begin`.
TextUnit sentence_at(std::string_view text, size_t begin) {
  size_t at = begin;
  const auto ends = [&](size_t from) {
    bool blank_line = false;
    const size_t end = behind_space(text, from, blank_line);
    return TextUnit{end, blank_line ? TextEnd::kParagraph : TextEnd::kSentence};
  };
  while (at < text.size()) {
    const size_t mark = at;
    const char32_t c = next_character(text, at);
    if (!may_end(c)) continue;
    if (c == '\n') return ends(mark);
    if (!is_wide_mark(c) && !is_mark(c)) continue;

    bool wide = is_wide_mark(c);
    const size_t behind_marks = behind_all(text, at, [&](char32_t more) {
      wide |= is_wide_mark(more);
      return is_mark(more) || is_wide_mark(more);
    });
    const size_t behind = behind_all(text, behind_marks, closes);
    if (wide || behind == text.size()) return ends(behind);
    const char32_t follows = peek(text, behind);
    bool blank_line = false;
    const size_t next = behind_space(text, behind, blank_line);
    const bool single_stop = c == '.' && behind_marks == mark + 1;
    if (is_space(follows)) {
      const bool new_line = text.substr(behind, next - behind).find('\n') != std::string_view::npos;
      if (next == text.size() || new_line || !single_stop || !is_no_end(text, begin, mark, peek(text, next)))
        return ends(behind);
    } else if (is_wide(follows) || c == U'…') {  // "OK.然后"
      return ends(behind);
    }
    at = behind;
  }
  return {text.size(), TextEnd::kInside};
}

bool ends_clause(char32_t c) {
  return is_one_of(c, U"，；：、,;:—");
}

// The parts of `text` that end where `ends_here(c, next)` says so, white space behind them included.
template <typename EndsHere>
std::vector<TextUnit> parts_of(std::string_view text, TextEnd inner, TextEnd last, EndsHere ends_here) {
  std::vector<TextUnit> parts;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    if (at == text.size() || !ends_here(c, peek(text, at))) continue;
    bool blank_line = false;
    at = behind_space(text, at, blank_line);
    parts.push_back({at, inner});
  }
  if (parts.empty() || parts.back().end < text.size()) parts.push_back({text.size(), last});
  parts.back().kind = last;
  return parts;
}

// Sixteen characters in the mean: a character ends a part when the four that end with it say so.
void add_inner_parts(std::string_view text, size_t offset, TextEnd last, size_t chars_max, size_t bytes_max,
                     std::vector<TextUnit>& parts) {
  size_t begin = 0, n_chars = 0;
  std::array<size_t, 4> starts{};
  size_t n_seen = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t from = at;
    next_character(text, at);
    if (n_chars > 0 && (at - begin > bytes_max || n_chars >= chars_max)) {
      parts.push_back({offset + from, TextEnd::kInside});
      begin = from;
      n_chars = 0;
    }
    starts[n_seen++ % starts.size()] = from;
    ++n_chars;
    const size_t first = n_seen >= starts.size() ? starts[n_seen % starts.size()] : 0;
    if (at == text.size() || hash128(text.substr(first, at - first)).low64() % 16 != 0) continue;
    parts.push_back({offset + at, TextEnd::kInside});
    begin = at;
    n_chars = 0;
  }
  parts.push_back({offset + text.size(), last});
}

}  // namespace

std::vector<TextUnit> sentences(std::string_view text) {
  std::vector<TextUnit> units;
  for (size_t begin = 0; begin < text.size();) {
    units.push_back(sentence_at(text, begin));
    begin = units.back().end;
  }
  return units;
}

std::vector<TextUnit> soft_parts(std::string_view sentence, TextEnd kind, size_t chars_max,
                                 size_t bytes_max) {
  const auto fits = [&](std::string_view part) {
    return part.size() <= bytes_max && (part.size() <= chars_max || utf8_length(part) <= chars_max);
  };
  std::vector<TextUnit> parts;
  size_t clause_begin = 0;
  const auto clauses = parts_of(sentence, TextEnd::kClause, kind, [](char32_t c, char32_t next) {
    return ends_clause(c) && (is_space(next) || is_wide(c) || is_wide(next));
  });
  for (const TextUnit& clause : clauses) {
    const std::string_view text = sentence.substr(clause_begin, clause.end - clause_begin);
    size_t word_begin = clause_begin;
    clause_begin = clause.end;
    if (fits(text)) {
      parts.push_back(clause);
      continue;
    }
    const size_t offset = word_begin;
    for (const TextUnit& word : parts_of(text, TextEnd::kSpace, clause.kind,
                                         [](char32_t, char32_t next) { return is_space(next); })) {
      const size_t end = offset + word.end;
      const std::string_view letters = sentence.substr(word_begin, end - word_begin);
      if (fits(letters))
        parts.push_back({end, word.kind});
      else
        add_inner_parts(letters, word_begin, word.kind, chars_max, bytes_max, parts);
      word_begin = end;
    }
  }
  return parts;
}

std::string_view whole_sentences_from_start(std::string_view text) {
  const std::vector<TextUnit> units = sentences(text);
  if (units.size() < 2 || units.back().kind != TextEnd::kInside) return text;
  const size_t end = units[units.size() - 2].end;
  return end >= text.size() - text.size() / 4 ? text.substr(0, end) : text;
}

std::string_view whole_sentences_to_end(std::string_view text) {
  const std::vector<TextUnit> units = sentences(text);
  if (units.size() < 2 || units.front().end > text.size() / 4) return text;
  return text.substr(units.front().end);
}

}  // namespace tandem
