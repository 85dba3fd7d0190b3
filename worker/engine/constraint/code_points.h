// Sets of characters, and how they are written in bytes.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace tandem::engine {

struct CodeRange {
  char32_t first = 0, last = 0;  // both are in
  bool operator==(const CodeRange&) const = default;
};

// A set of Unicode scalar values: surrogates are never in it, whatever was added.
class CodePoints {
 public:
  CodePoints() = default;
  CodePoints(std::initializer_list<CodeRange> ranges);
  static CodePoints any();

  void add(char32_t first, char32_t last);
  void add(const CodePoints& other);
  CodePoints complement() const;
  CodePoints without(const CodePoints& other) const;

  bool empty() const { return ranges_.empty(); }
  bool contains(char32_t c) const;
  const std::vector<CodeRange>& ranges() const { return ranges_; }  // in order, none touches the next
  bool operator==(const CodePoints&) const = default;

 private:
  std::vector<CodeRange> ranges_;
};

struct ByteRange {
  uint8_t first = 0, last = 0;
};

// The UTF-8 of the set: a text of one character is in it when one of the sequences fits it byte for byte. No
// two sequences fit the same text.
std::vector<std::vector<ByteRange>> utf8_sequences(const CodePoints& set);

}  // namespace tandem::engine
