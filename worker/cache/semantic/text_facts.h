// What a text says in ways that vectors do not see: its numbers, its negations, its names. Read once,
// compared by gates.h.

#pragma once

#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::semantic {

// A number, date word or amount, in the order of the text.
struct NumberFact {
  std::string value;  // "3.5", "1000000", "monday", "tomorrow"
  std::string unit;   // "kg", "%", "year"; "" without one
  // Says nothing on its own and may be missing on the other side: "a" 一, "one", "today" 今天.
  bool optional = false;
};

// A word of a pair of opposites: which pair, which side.
struct PoleFact {
  size_t pair = 0;
  bool second = false;
  std::string word;
};

struct TextFacts {
  std::vector<NumberFact> numbers;
  std::vector<std::string> negations;  // "not", "不"; questions such as 是不是 have none
  std::vector<PoleFact> poles;
  std::set<std::string> names;      // small letters: names, codes, addresses; Latin words in a Han text
  std::set<std::string> quoted;     // contents of quotes and 《》, flat
  std::set<std::string> words;      // all words that are not Han
  std::string flat;                 // small letters without spaces and signs but those of addresses
  std::array<double, 8> scripts{};  // shares of the letters, by Script
  size_t n_letters = 0;             // letters and digits
  size_t n_units = 0;               // Han characters, and two for each other word: how much is said
};

TextFacts facts_of(std::string_view text);

// The parts, for facts_of() and tests.
std::vector<NumberFact> numbers_in(std::u32string_view characters);
// `small`: characters in small letters.
void read_polarity(std::u32string_view small, TextFacts& facts);

}  // namespace tandem::semantic
