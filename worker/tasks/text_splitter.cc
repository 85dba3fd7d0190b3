#include "worker/tasks/text_splitter.h"

#include <algorithm>

#include "shared/base/assert.h"
#include "shared/base/hash.h"
#include "shared/base/utf8.h"
#include "worker/tasks/content_groups.h"
#include "worker/tasks/sentences.h"

namespace tandem {
namespace {

// Characters and tokens have limits of their own. A text's size is the larger of its shares in them, in parts
// of this; sizes add up, and what has at most this keeps both limits. 4 MB of text times this are 62 bits;
// what is lost below one part is less than a character, whatever the limit.
constexpr size_t kWhole = size_t{1} << 40;

size_t share(size_t n, size_t n_max) {
  return n * kWhole / n_max;
}

class Splitting {
 public:
  Splitting(std::string_view text, const SplitLimits& limits, const CountTokens& n_tokens)
      : text_(text), limits_(limits), n_tokens_(n_tokens) {
    TANDEM_ASSERT(limits.overlap_chars < limits.chars_max, "a piece has a text of its own");
    own_max_ = kWhole - share(limits.overlap_chars, limits.chars_max);
    own_max_ = std::max<size_t>(own_max_, 1);
    find_units();
  }

  std::vector<TextPiece> pieces() const {
    std::vector<TextPiece> pieces;
    size_t first = 0;
    for (const size_t last : content_defined_groups(units_, own_max_)) {
      TextPiece& piece = pieces.emplace_back();
      piece.begin = first == 0 ? 0 : ends_[first - 1];
      piece.end = ends_[last - 1];
      size_t size = 0;
      for (size_t i = first; i < last; ++i) size += units_[i].size;
      piece.overlap_begin = overlap_of(first, piece.begin, size);
      first = last;
    }
    return pieces;
  }

 private:
  size_t size_of(std::string_view text) const {
    const size_t chars = share(utf8_length(text), limits_.chars_max);
    return limited() ? std::max(chars, share(n_tokens_(text), limits_.tokens_max)) : chars;
  }
  bool limited() const { return limits_.tokens_max > 0 && n_tokens_; }

  // Sentences, and parts of those that are larger than the smallest piece: so wherever a piece has to end,
  // there is a place for it.
  void find_units() {
    const size_t unit_max = std::max<size_t>(own_max_ / 3, 1);
    const double part = static_cast<double>(unit_max) / static_cast<double>(kWhole);
    const auto at_most = [&](size_t limit) {
      return std::max<size_t>(static_cast<size_t>(part * static_cast<double>(limit)), 1);
    };
    const size_t chars_max = at_most(limits_.chars_max);
    const size_t bytes_max = limited() ? at_most(limits_.tokens_max) : text_.size();  // no token is empty
    size_t begin = 0;
    for (const TextUnit& sentence : sentences(text_)) {
      const std::string_view words = text_.substr(begin, sentence.end - begin);
      if (const size_t size = size_of(words); size <= unit_max) {
        add(words, sentence.end, sentence.kind, size);
      } else {
        size_t at = 0;
        for (const TextUnit& soft : soft_parts(words, sentence.kind, chars_max, bytes_max)) {
          const std::string_view inner = words.substr(at, soft.end - at);
          add(inner, begin + soft.end, soft.kind, size_of(inner));
          at = soft.end;
        }
      }
      begin = sentence.end;
    }
  }

  void add(std::string_view words, size_t end, TextEnd kind, size_t size) {
    units_.push_back({size, static_cast<uint8_t>(kind), hash128(words).low64()});
    ends_.push_back(end);
  }

  // Where the overlap of a piece begins, whose own text has `size`.
  size_t overlap_of(size_t first_unit, size_t begin, size_t size) const {
    if (limits_.overlap_chars == 0) return begin;
    size_t farthest = begin;
    for (size_t n = 0; n < limits_.overlap_chars && farthest > 0; ++n) {
      do --farthest;
      while (farthest > 0 && (static_cast<uint8_t>(text_[farthest]) & 0xC0) == 0x80);
    }
    size_t unit = first_unit;  // the first that begins in the overlap
    while (unit > 0 && (unit == 1 ? 0 : ends_[unit - 2]) >= farthest) --unit;
    const auto fits = [&](size_t from) { return size + size_of(text_.substr(from, begin - from)) <= kWhole; };
    if (unit == first_unit) return fits(farthest) ? farthest : begin;
    for (; unit < first_unit; ++unit) {
      const size_t from = unit == 0 ? 0 : ends_[unit - 1];
      if (fits(from)) return from;
    }
    return begin;
  }

  std::string_view text_;
  const SplitLimits& limits_;
  const CountTokens& n_tokens_;
  size_t own_max_ = kWhole;
  std::vector<GroupUnit> units_;
  std::vector<size_t> ends_;  // of the units, in the text
};

}  // namespace

std::vector<TextPiece> split_text(std::string_view text, const SplitLimits& limits,
                                  const CountTokens& n_tokens) {
  return Splitting(text, limits, n_tokens).pieces();
}

}  // namespace tandem
