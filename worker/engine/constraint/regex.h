// Regular expressions, as far as a finite automaton goes:
//
//   a 你          characters; . any but the line feed
//   \d \w \s      [0-9], [A-Za-z0-9_], [ \t\n\r\f\v]: ASCII only; \D \W \S what they leave of Unicode
//   \n \r \t \f \v \0 \xHH \uHHHH \u{H..}; a backslash in front of ASCII punctuation takes its meaning away
//   [a-z_] [^"\\] classes of all these; [] and [^] are mistakes
//   (..) (?:..)   groups; nothing is captured
//   a|b           either
//   * + ? {m} {m,} {m,n}   repeats, n up to kRepeatsMax
//   ^ $           at the beginning and end of the whole or of one of its alternatives only
//
// Everything else is a mistake with its place: back references, look-around, lazy and possessive repeats, \b,
// \p{..}, flags. Characters are code points; a class never takes half of one.

#pragma once

#include <cstdint>
#include <string_view>

#include "shared/base/result.h"
#include "worker/engine/constraint/expression.h"

namespace tandem::engine {

inline constexpr size_t kPatternBytesMax = 16u << 10;
inline constexpr size_t kGroupDepthMax = 64;
inline constexpr uint32_t kRepeatsMax = 10'000;

// kWhole: the whole text fits, ^ and $ change nothing. kSearch: a part of it does, so anything may stand in
// front and behind where there is no ^ and $: what "pattern" means in a JSON schema.
enum class RegexMode : uint8_t { kWhole, kSearch };

// An expression of classes, sequences, choices and repeats; no bytes and no rules. kInvalid, kUnsupported and
// kTooLong name the character (the first is 1), what was expected and what was found.
Result<Expression> parse_regex(std::string_view pattern, RegexMode mode);

}  // namespace tandem::engine
