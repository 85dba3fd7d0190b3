#include "worker/engine/constraint/json_text.h"

#include <algorithm>

namespace tandem::engine {
namespace {

CodePoints digits() {
  return {{'0', '9'}};
}
CodePoints hex_digits() {
  return {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
}
Expression hex(uint32_t n) {
  return repeat(one_of(hex_digits()), n, n);
}
// What stands for itself in a string.
CodePoints plain_characters() {
  return CodePoints{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}.complement();
}

// One character of a string in every spelling.
Expression any_character() {
  const CodePoints not_d{{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}};
  const CodePoints is_d{{'D', 'D'}, {'d', 'd'}};
  Expression unit =
      choice({sequence({one_of(not_d), hex(3)}), sequence({one_of(is_d), one_of({{'0', '7'}}), hex(2)})});
  Expression pair = sequence({one_of(is_d), one_of({{'8', '9'}, {'A', 'B'}, {'a', 'b'}}), hex(2),
                              bytes("\\u"), one_of(is_d), one_of({{'C', 'F'}, {'c', 'f'}}), hex(2)});
  Expression escape = one_of(
      {{'"', '"'}, {'/', '/'}, {'\\', '\\'}, {'b', 'b'}, {'f', 'f'}, {'n', 'n'}, {'r', 'r'}, {'t', 't'}});
  return choice({one_of(plain_characters()),
                 sequence({bytes("\\"),
                           choice({std::move(escape),
                                   sequence({bytes("u"), choice({std::move(unit), std::move(pair)})})})})});
}

// The usual spelling of a character that must be escaped.
std::string escape_of(char32_t c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default: {
      const char* const kHex = "0123456789abcdef";
      return std::string("\\u00") + kHex[c >> 4 & 0xF] + kHex[c & 0xF];
    }
  }
}

Expression escaped(Expression text) {
  if (text.kind == Expression::Kind::kClass) {
    const CodePoints plain = plain_characters();
    std::vector<Expression> spellings;
    for (char32_t c = 0; c < 0x80; ++c) {
      if (text.code_points.contains(c) && !plain.contains(c)) spellings.push_back(bytes(escape_of(c)));
    }
    if (spellings.empty()) return text;
    CodePoints rest = text.code_points.without(plain.complement());
    if (!rest.empty()) spellings.push_back(one_of(std::move(rest)));
    return choice(std::move(spellings));
  }
  for (Expression& part : text.parts) part = escaped(std::move(part));
  return text;
}

Expression digit_range(char first, char last) {
  return one_of({{static_cast<char32_t>(first), static_cast<char32_t>(last)}});
}

// Numbers of as many digits as both have, from `low` to `high`.
Expression digits_between(std::string_view low, std::string_view high) {
  const auto n = static_cast<uint32_t>(low.size());
  if (low.find_first_not_of('0') == low.npos && high.find_first_not_of('9') == high.npos)
    return repeat(one_of(digits()), n, n);
  if (low[0] == high[0])
    return sequence({bytes(std::string(1, low[0])), digits_between(low.substr(1), high.substr(1))});
  const std::string zeros(n - 1, '0'), nines(n - 1, '9');
  std::vector<Expression> ways;
  ways.push_back(sequence({bytes(std::string(1, low[0])), digits_between(low.substr(1), nines)}));
  if (high[0] - low[0] > 1) {
    ways.push_back(sequence({digit_range(static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1)),
                             repeat(one_of(digits()), n - 1, n - 1)}));
  }
  ways.push_back(sequence({bytes(std::string(1, high[0])), digits_between(zeros, high.substr(1))}));
  return choice(std::move(ways));
}

// 0 <= min <= max.
Expression not_negative(int64_t min, int64_t max) {
  const std::string low = std::to_string(min), high = std::to_string(max);
  std::vector<Expression> ways;
  for (size_t n = low.size(); n <= high.size(); ++n) {
    const std::string from = n == low.size() ? low : "1" + std::string(n - 1, '0');
    ways.push_back(digits_between(from, n == high.size() ? high : std::string(n, '9')));
  }
  return choice(std::move(ways));
}

}  // namespace

Expression json_comma() {
  return sequence({bytes(","), optional(bytes(" "))});
}
Expression json_colon() {
  return sequence({bytes(":"), optional(bytes(" "))});
}

Expression JsonRules::any_string(uint32_t n_min, uint32_t n_max) {
  if (!character_) character_ = add(any_character());
  // Without bounds the character itself, not a call of it: fewer steps for the usual string.
  Expression character = n_max == Expression::kUnbounded && n_min == 0 ? any_character() : call(*character_);
  return sequence({bytes("\""), repeat(std::move(character), n_min, n_max), bytes("\"")});
}

Expression JsonRules::any_value() {
  if (!any_value_) {
    any_value_ = reserve();
    const Expression value = call(*any_value_);
    set(*any_value_, choice({any_string(), json_number(true), bytes("true"), bytes("false"), bytes("null"),
                             array_of(value, 0, Expression::kUnbounded), map_of(value)}));
  }
  return call(*any_value_);
}

Expression JsonRules::map_of(Expression value) {
  const Expression member = sequence({any_string(), json_colon(), std::move(value)});
  return sequence(
      {bytes("{"),
       optional(sequence({member, repeat(sequence({json_comma(), member}), 0, Expression::kUnbounded)})),
       bytes("}")});
}

Expression JsonRules::array_of(Expression item, uint32_t n_min, uint32_t n_max) {
  if (n_max == 0) return bytes("[]");
  const Expression one = call(add(std::move(item)));
  const uint32_t more_min = n_min == 0 ? 0 : n_min - 1;
  const uint32_t more_max = n_max == Expression::kUnbounded ? n_max : n_max - 1;
  Expression items = sequence({one, repeat(sequence({json_comma(), one}), more_min, more_max)});
  return sequence({bytes("["), n_min == 0 ? optional(std::move(items)) : std::move(items), bytes("]")});
}

Expression json_string_of(Expression text) {
  return sequence({bytes("\""), escaped(std::move(text)), bytes("\"")});
}

Expression json_integer(int64_t min, int64_t max) {
  std::vector<Expression> ways;
  if (min < 0)
    ways.push_back(sequence({bytes("-"), not_negative(std::max<int64_t>(1, max < 0 ? -max : 1), -min)}));
  if (max >= 0) ways.push_back(not_negative(std::max<int64_t>(0, min), max));
  return choice(std::move(ways));
}

Expression json_number(bool negative) {
  const Expression digit = one_of(digits());
  Expression whole = choice({bytes("0"), sequence({digit_range('1', '9'), repeat(digit, 0, 17)})});
  Expression fraction = sequence({bytes("."), repeat(digit, 1, 17)});
  Expression exponent = sequence(
      {one_of({{'E', 'E'}, {'e', 'e'}}), optional(one_of({{'+', '+'}, {'-', '-'}})), repeat(digit, 1, 2)});
  Expression number =
      sequence({std::move(whole), optional(std::move(fraction)), optional(std::move(exponent))});
  return negative ? sequence({optional(bytes("-")), std::move(number)}) : number;
}

}  // namespace tandem::engine
