// Hard gates: two texts that differ in a number, a negation or a name are different questions, however near
// their vectors are. Pure.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/cache/semantic/text_facts.h"

namespace tandem::semantic {

// In the order in which they are asked; the first that refuses is named.
enum class Gate : uint8_t {
  kTooShort,  // "yes", "continue", 好的: what they mean is elsewhere
  kLength,    // one says much more than the other
  kLanguage,  // scripts differ
  kNumber,    // numbers, dates, amounts, in their order
  kNegation,  // not the same count of negations; an opposite, such as 开通 and 关闭; men and women exchanged
  kName,      // names, codes, addresses, quoted words
};
inline constexpr size_t kGates = 6;
std::string_view to_string(Gate gate);  // "too_short", ..., for metrics and logs

struct GateSettings {
  size_t units_min = 4;              // a Han character is one unit, another word two
  double length_ratio_max = 2.0;     // letters and digits of the longer, over those of the shorter
  double script_distance_max = 0.5;  // half of the sum of differences of shares, 0..1
};

struct GateRefusal {
  Gate gate = Gate::kTooShort;
  std::string found;  // "number: '3 kg' in the question, '5 kg' in the donor's": texts of users, not for logs
};

// What refuses to answer `query` with what `donor` was answered; nothing: all gates let it pass. Symmetric:
// the other way round the same gate refuses.
std::optional<GateRefusal> check_gates(const TextFacts& query, const TextFacts& donor,
                                       const GateSettings& settings = {});

// kTooShort for a text that no other may answer and that may answer no other.
std::optional<GateRefusal> check_alone(const TextFacts& text, const GateSettings& settings = {});

}  // namespace tandem::semantic
