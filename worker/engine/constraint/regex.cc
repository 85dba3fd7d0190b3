#include "worker/engine/constraint/regex.h"

#include <optional>
#include <string>
#include <vector>

#include "shared/base/utf8.h"
#include "worker/engine/constraint/automaton.h"
#include "worker/engine/constraint/grammar.h"
#include "worker/engine/constraint/regex_characters.h"

namespace tandem::engine {
namespace {

constexpr char32_t kEnd = 0xFFFFFFFF;  // no character

class Parser {
 public:
  Parser(std::u32string pattern, RegexMode mode) : text_(std::move(pattern)), mode_(mode) {}

  Result<Expression> run() {
    TANDEM_ASSIGN(Expression whole, alternatives(0));
    if (peek() != kEnd) return wrong("a group that is open");  // what else stops is a ')'
    return whole;
  }

 private:
  char32_t peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : kEnd; }
  bool take(char32_t c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  // What stands where reading stopped is not what was expected.
  tl::unexpected<Error> wrong(std::string_view expected, ErrorCode code = ErrorCode::kInvalid) const {
    const std::string found = at_ < text_.size() ? "'" + utf8_of(text_[at_]) + "'" : "the end";
    return fail(code, "regex, character " + std::to_string(at_ + 1) + ": expected " + std::string(expected) +
                          ", found " + found);
  }
  tl::unexpected<Error> unsupported(std::string_view expected) const {
    return wrong(expected, ErrorCode::kUnsupported);
  }

  Result<Expression> alternatives(size_t depth) {
    std::vector<Expression> branches;
    do {
      TANDEM_ASSIGN(Expression one, branch(depth));
      branches.push_back(std::move(one));
    } while (take('|'));
    return branches.size() == 1 ? std::move(branches[0]) : choice(std::move(branches));
  }

  Result<Expression> branch(size_t depth) {
    const bool is_search = mode_ == RegexMode::kSearch && depth == 0;
    const Expression anything = repeat(one_of(CodePoints::any()), 0, Expression::kUnbounded);
    std::vector<Expression> parts;
    if (!(depth == 0 && take('^')) && is_search) parts.push_back(anything);
    bool ended = false;
    while (peek() != kEnd && peek() != '|' && peek() != ')') {
      if (depth == 0 && peek() == '$' && (peek(1) == kEnd || peek(1) == '|')) {
        ++at_;
        ended = true;
        break;
      }
      TANDEM_ASSIGN(Expression one, atom(depth));
      TANDEM_ASSIGN(one, repeats(std::move(one)));
      parts.push_back(std::move(one));
    }
    if (!ended && is_search) parts.push_back(anything);
    return parts.size() == 1 ? std::move(parts[0]) : sequence(std::move(parts));
  }

  Result<Expression> repeats(Expression one) {
    uint32_t min = 0, max = Expression::kUnbounded;
    if (take('*')) {
    } else if (take('+')) {
      min = 1;
    } else if (take('?')) {
      max = 1;
    } else if (take('{')) {
      TANDEM_ASSIGN(min, count());
      max = min;
      if (take(',')) {
        max = Expression::kUnbounded;
        if (peek() != '}') {
          TANDEM_ASSIGN(max, count());
        }
      }
      if (max < min) return wrong("a second number that is not smaller");
      if (!take('}')) return wrong("} behind the numbers");
    } else {
      return one;
    }
    if (peek() == '?' || peek() == '+') return unsupported("no lazy or possessive repeat");
    if (peek() == '*' || peek() == '{') return wrong("something to repeat");
    return repeat(std::move(one), min, max);
  }

  Result<uint32_t> count() {
    if (!is_between(peek(), '0', '9')) return wrong("a number, as in {2,5} (a brace itself is \\{)");
    uint32_t number = 0;
    while (is_between(peek(), '0', '9')) {
      number = number * 10 + static_cast<uint32_t>(peek() - '0');
      if (number > kRepeatsMax) return wrong("a number up to " + std::to_string(kRepeatsMax));
      ++at_;
    }
    return number;
  }

  Result<Expression> atom(size_t depth) {
    switch (peek()) {
      case '(':
        return group(depth);
      case '[':
        return bracket();
      case '.':
        ++at_;
        return one_of(CodePoints{{'\n', '\n'}}.complement());
      case '*':
      case '+':
      case '?':
        return wrong("something to repeat");
      case '{':
        return wrong("something to repeat (a brace itself is \\{)");
      case '^':
        return unsupported("^ at the beginning only (the character itself is \\^)");
      case '$':
        return unsupported("$ at the end only (the character itself is \\$)");
      case '\\': {
        ++at_;
        if (auto known = class_of_letter(peek())) {
          ++at_;
          return one_of(std::move(*known));
        }
        TANDEM_ASSIGN(const char32_t c, escaped());
        return one_of({{c, c}});
      }
      default: {
        const char32_t c = text_[at_++];
        return one_of({{c, c}});
      }
    }
  }

  Result<Expression> group(size_t depth) {
    if (depth >= kGroupDepthMax)
      return wrong("at most " + std::to_string(kGroupDepthMax) + " groups in a row");
    ++at_;
    if (peek() == '?') {
      if (peek(1) != ':') return unsupported("no group but (..) and (?:..)");
      at_ += 2;
    }
    TANDEM_ASSIGN(Expression inside, alternatives(depth + 1));
    if (!take(')')) return wrong(") of a group");
    return inside;
  }

  // Behind a backslash: one character.
  Result<char32_t> escaped() {
    const char32_t c = peek();
    switch (c) {
      case 'n':
        return ++at_, U'\n';
      case 'r':
        return ++at_, U'\r';
      case 't':
        return ++at_, U'\t';
      case 'f':
        return ++at_, U'\f';
      case 'v':
        return ++at_, U'\v';
      case '0':
        if (is_between(peek(1), '0', '9')) return unsupported("no octal number");
        return ++at_, U'\0';
      case 'x':
        ++at_;
        return hex(2, 2);
      case 'u': {
        ++at_;
        if (!take('{')) return hex(4, 4);
        TANDEM_ASSIGN(const char32_t named, hex(1, 6));
        if (!take('}')) return wrong("} behind the number");
        return named;
      }
      default:
        if (!is_ascii_punctuation(c))
          return unsupported("one of \\d \\w \\s \\n \\r \\t \\x \\u and punctuation");
        ++at_;
        return c;
    }
  }

  Result<char32_t> hex(size_t n_min, size_t n_max) {
    char32_t c = 0;
    size_t n = 0;
    for (; n < n_max && hex_value(peek()) >= 0; ++n)
      c = c * 16 + static_cast<char32_t>(hex_value(text_[at_++]));
    if (n < n_min) return wrong("a hexadecimal digit");
    if (!CodePoints::any().contains(c)) return wrong("the number of a character in front of this");
    return c;
  }

  Result<Expression> bracket() {
    ++at_;
    const bool negated = take('^');
    CodePoints set;
    if (peek() == ']') return wrong("something in the class (the bracket itself is \\])");
    while (!take(']')) {
      if (peek() == kEnd) return wrong("] of a class");
      if (peek() == '[' && (peek(1) == ':' || peek(1) == '.' || peek(1) == '='))
        return unsupported("no class by name (the bracket itself is \\[)");
      if (peek() == '\\') {
        if (const auto known = class_of_letter(peek(1))) {
          at_ += 2;
          if (peek() == '-' && peek(1) != ']') return wrong("no range behind a class");
          set.add(*known);
          continue;
        }
      }
      TANDEM_ASSIGN(const char32_t first, bracket_character());
      char32_t last = first;
      if (peek() == '-' && peek(1) != ']' && peek(1) != kEnd) {
        ++at_;
        if (peek() == '\\' && class_of_letter(peek(1))) return wrong("a character as the end of a range");
        TANDEM_ASSIGN(last, bracket_character());
        if (last < first) return wrong("a range in order in front of this");
      }
      set.add(first, last);
    }
    if (negated) set = set.complement();
    if (set.empty()) return wrong("a class that has a character in front of this");
    return one_of(std::move(set));
  }

  Result<char32_t> bracket_character() {
    if (!take('\\')) return text_[at_++];
    if (peek() == 'b') return unsupported("no \\b");
    return escaped();
  }

  std::u32string text_;
  RegexMode mode_;
  size_t at_ = 0;
};

}  // namespace

Result<Expression> parse_regex(std::string_view pattern, RegexMode mode) {
  if (pattern.size() > kPatternBytesMax) {
    return fail(ErrorCode::kTooLong, "regex: expected at most " + std::to_string(kPatternBytesMax) +
                                         " bytes, found " + std::to_string(pattern.size()));
  }
  if (auto valid = check_utf8(pattern); !valid) return fail_in("regex", std::move(valid).error());
  return Parser(characters_of(pattern), mode).run();
}

Result<std::shared_ptr<const Grammar>> grammar_of_regex(std::string_view pattern) {
  if (pattern.empty()) return fail(ErrorCode::kInvalid, "regex: expected a pattern, found nothing");
  TANDEM_ASSIGN(Expression whole, parse_regex(pattern, RegexMode::kWhole));
  auto grammar = Grammar::build({std::move(whole)});
  if (!grammar) return fail_in("regex", std::move(grammar).error());
  const Automaton automaton(*grammar);
  if (automaton.is_final(automaton.start()))
    return fail(ErrorCode::kInvalid,
                "regex: expected one that a text fits, found one for the empty text only");
  return grammar;
}

}  // namespace tandem::engine
