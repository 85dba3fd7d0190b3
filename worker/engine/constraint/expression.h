// What a text may look like, as a tree: the form between a choice, a regular expression or a JSON schema, and
// the grammar that is run. Plain data.

#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "worker/engine/constraint/code_points.h"

namespace tandem::engine {

struct Expression {
  enum class Kind : uint8_t { kBytes, kClass, kSequence, kChoice, kRepeat, kRule };
  static constexpr uint32_t kUnbounded = UINT32_MAX;

  Kind kind = Kind::kSequence;    // of nothing: the empty text
  std::string bytes;              // of kBytes
  CodePoints code_points;         // of kClass: one character of these
  std::vector<Expression> parts;  // of kSequence and kChoice; one of kRepeat. A choice of none fits nothing.
  uint32_t min = 0, max = 0;      // of kRepeat
  uint32_t rule = 0;              // of kRule: what that rule fits; rules may call each other
};

inline Expression bytes(std::string text) {
  Expression made;
  made.kind = Expression::Kind::kBytes;
  made.bytes = std::move(text);
  return made;
}
inline Expression one_of(CodePoints set) {
  Expression made;
  made.kind = Expression::Kind::kClass;
  made.code_points = std::move(set);
  return made;
}
inline Expression sequence(std::vector<Expression> parts) {
  Expression made;
  made.parts = std::move(parts);
  return made;
}
inline Expression choice(std::vector<Expression> parts) {
  Expression made;
  made.kind = Expression::Kind::kChoice;
  made.parts = std::move(parts);
  return made;
}
inline Expression repeat(Expression part, uint32_t min, uint32_t max) {
  Expression made;
  made.kind = Expression::Kind::kRepeat;
  made.parts.push_back(std::move(part));
  made.min = min;
  made.max = max;
  return made;
}
inline Expression optional(Expression part) {
  return repeat(std::move(part), 0, 1);
}
inline Expression call(uint32_t rule) {
  Expression made;
  made.kind = Expression::Kind::kRule;
  made.rule = rule;
  return made;
}

}  // namespace tandem::engine
