// How JSON is written here, piece by piece: what a schema is put together from. Compact, with one space at
// most behind ':' and ',' and none elsewhere: white space without end is a favourite of small models.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/engine/constraint/expression.h"

namespace tandem::engine {

// Collects the rules of a grammar; rule 0 is the whole. The common ones are made when they are first used.
class JsonRules {
 public:
  JsonRules() : rules_(1) {}

  uint32_t reserve() {
    rules_.emplace_back();
    return static_cast<uint32_t>(rules_.size() - 1);
  }
  void set(uint32_t rule, Expression body) { rules_[rule] = std::move(body); }
  uint32_t add(Expression body) {
    const uint32_t rule = reserve();
    set(rule, std::move(body));
    return rule;
  }
  std::vector<Expression> take() { return std::move(rules_); }

  // Any value; of any depth that the machine allows.
  Expression any_value();
  // A string of any characters, each written plainly or escaped. Halves of surrogate pairs are not written.
  Expression any_string(uint32_t n_min = 0, uint32_t n_max = Expression::kUnbounded);
  // {"key": value, ...} with any keys; a key may come twice.
  Expression map_of(Expression value);
  Expression array_of(Expression item, uint32_t n_min, uint32_t n_max);

 private:
  std::optional<uint32_t> any_value_, character_;
  std::vector<Expression> rules_;
};

// `"text"` exactly, in quotes, as JSON's most usual spelling; `text` is an expression of characters. A
// character is escaped when it must be, and only then.
Expression json_string_of(Expression text);

// Numbers that every reader can hold: up to 18 digits in front of the point, 17 behind it, exponents of two
// digits. `negative`: may have a minus.
Expression json_number(bool negative);
// Whole numbers from `min` to `max`, without exponent; both are within kIntegerMax.
Expression json_integer(int64_t min, int64_t max);
inline constexpr int64_t kIntegerMax = 999'999'999'999'999'999;

Expression json_comma();  // "," or ", "
Expression json_colon();  // ":" or ": "

}  // namespace tandem::engine
