#include "worker/engine/constraint/code_points.h"

#include <algorithm>

namespace tandem::engine {
namespace {

constexpr char32_t kLast = 0x10FFFF;
constexpr char32_t kSurrogateFirst = 0xD800, kSurrogateLast = 0xDFFF;

// In order, overlapping and touching ones joined.
std::vector<CodeRange> joined(std::vector<CodeRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const CodeRange& a, const CodeRange& b) { return a.first < b.first; });
  std::vector<CodeRange> result;
  for (const CodeRange& range : ranges) {
    if (!result.empty() && range.first <= result.back().last + 1) {
      result.back().last = std::max(result.back().last, range.last);
    } else {
      result.push_back(range);
    }
  }
  return result;
}

using Sequences = std::vector<std::vector<ByteRange>>;

std::vector<uint8_t> utf8_of(char32_t c) {
  const auto tail = [&](unsigned shift) { return static_cast<uint8_t>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) return {static_cast<uint8_t>(c)};
  if (c < 0x800) return {static_cast<uint8_t>(0xC0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<uint8_t>(0xE0 | c >> 12), tail(6), tail(0)};
  return {static_cast<uint8_t>(0xF0 | c >> 18), tail(12), tail(6), tail(0)};
}

// Cuts the range until every byte runs through its own range whatever the other bytes are.
void append_sequences(CodeRange range, Sequences& out) {
  for (const char32_t last_of_length : {0x7F, 0x7FF, 0xFFFF}) {
    if (range.first <= last_of_length && last_of_length < range.last) {
      append_sequences({range.first, last_of_length}, out);
      append_sequences({last_of_length + 1, range.last}, out);
      return;
    }
  }
  if (range.last >= 0x80) {
    for (unsigned n_tails = 1; n_tails < 4; ++n_tails) {
      const char32_t mask = (char32_t{1} << 6 * n_tails) - 1;
      if ((range.first & ~mask) == (range.last & ~mask)) continue;
      if ((range.first & mask) != 0) {
        append_sequences({range.first, range.first | mask}, out);
        append_sequences({(range.first | mask) + 1, range.last}, out);
        return;
      }
      if ((range.last & mask) != mask) {
        append_sequences({range.first, (range.last & ~mask) - 1}, out);
        append_sequences({range.last & ~mask, range.last}, out);
        return;
      }
    }
  }
  const std::vector<uint8_t> first = utf8_of(range.first), last = utf8_of(range.last);
  std::vector<ByteRange>& sequence = out.emplace_back();
  for (size_t i = 0; i < first.size(); ++i) sequence.push_back({first[i], last[i]});
}

}  // namespace

CodePoints::CodePoints(std::initializer_list<CodeRange> ranges) {
  for (const CodeRange& range : ranges) add(range.first, range.last);
}

CodePoints CodePoints::any() {
  return {{0, kLast}};
}

void CodePoints::add(char32_t first, char32_t last) {
  last = std::min(last, kLast);
  if (first > last) return;
  if (first < kSurrogateFirst) ranges_.push_back({first, std::min<char32_t>(last, kSurrogateFirst - 1)});
  if (last > kSurrogateLast) ranges_.push_back({std::max<char32_t>(first, kSurrogateLast + 1), last});
  ranges_ = joined(std::move(ranges_));
}

void CodePoints::add(const CodePoints& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  ranges_ = joined(std::move(ranges_));
}

CodePoints CodePoints::complement() const {
  CodePoints rest;
  char32_t from = 0;
  for (const CodeRange& range : ranges_) {
    if (range.first > from) rest.add(from, range.first - 1);
    from = range.last + 1;
  }
  if (from <= kLast) rest.add(from, kLast);
  return rest;
}

CodePoints CodePoints::without(const CodePoints& other) const {
  CodePoints outside = complement();
  outside.add(other);
  return outside.complement();
}

bool CodePoints::contains(char32_t c) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&](const CodeRange& range) { return range.first <= c && c <= range.last; });
}

std::vector<std::vector<ByteRange>> utf8_sequences(const CodePoints& set) {
  Sequences sequences;
  for (const CodeRange& range : set.ranges()) append_sequences(range, sequences);
  return sequences;
}

}  // namespace tandem::engine
