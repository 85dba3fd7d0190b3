#define PCRE2_CODE_UNIT_WIDTH 8
#include "worker/engine/tokenizer/splitter.h"

#include <pcre2.h>

#include <algorithm>
#include <cstdint>

#include "shared/base/assert.h"

namespace tandem::engine {
namespace {

// White_Space of Unicode, for the inside of a character class.
constexpr std::string_view kWhiteSpace =
    R"(\t-\r\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kSameEverywhere =
    "rntpPx";  // escapes that mean the same in both, besides \s and \S

// Buffers of a match. One per thread, for all splitters: it holds the place of the whole match only.
struct Scratch {
  pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  Scratch() { TANDEM_ASSERT(match != nullptr && context != nullptr, "a few hundred bytes can be had"); }
  ~Scratch() {
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

size_t character_length(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

}  // namespace

struct Splitter::Code {
  pcre2_code* code = nullptr;
  Code() = default;
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
};

Result<std::string> to_pcre2(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const auto unsupported = [&](const std::string& what) {
      return fail(ErrorCode::kUnsupported,
                  "cannot read the split pattern: " + what + " at byte " + std::to_string(i));
    };
    if (c == '\\') {
      if (i + 1 == pattern.size()) return unsupported("a backslash that escapes nothing");
      const char escaped = pattern[++i];
      const bool letter = (escaped >= 'a' && escaped <= 'z') || (escaped >= 'A' && escaped <= 'Z');
      const bool digit = escaped >= '0' && escaped <= '9';
      if (escaped == 's') {
        out += in_class ? std::string(kWhiteSpace) : "[" + std::string(kWhiteSpace) + "]";
      } else if (escaped == 'S' && !in_class) {
        out += "[^" + std::string(kWhiteSpace) + "]";
      } else if (digit || (letter && kSameEverywhere.find(escaped) == std::string_view::npos)) {
        return unsupported(std::string("\\") + escaped + (in_class ? " in a character class" : ""));
      } else {
        out += c;
        out += escaped;
      }
      continue;
    }
    if (in_class && (c == '[' || (c == '&' && pattern.substr(i, 2) == "&&"))) {
      return unsupported("a set operation inside a character class");
    }
    if (!in_class && (c == '^' || c == '$')) return unsupported(std::string("the anchor ") + c);
    out += c;
    if (!in_class && c == '[') {
      in_class = true;
      // "[^" opens a class too, and a "]" in front is an ordinary character.
      if (pattern.substr(i + 1, 1) == "^") out += pattern[++i];
      if (pattern.substr(i + 1, 1) == "]") out += pattern[++i];
    } else if (in_class && c == ']') {
      in_class = false;
    }
  }
  return out;
}

Result<Splitter> Splitter::compile(const std::string& pattern) {
  TANDEM_ASSIGN(const std::string translated, to_pcre2(pattern));
  auto code = std::make_shared<Code>();
  int error = 0;
  PCRE2_SIZE at = 0;
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE, &error,
                             &at, nullptr);
  if (code->code == nullptr) {
    PCRE2_UCHAR text[256];
    pcre2_get_error_message(error, text, sizeof text);
    return fail(ErrorCode::kUnsupported,
                "cannot read the split pattern: " + std::string(reinterpret_cast<const char*>(text)) +
                    " near byte " + std::to_string(at));
  }
  pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE);  // without it (other CPUs), pcre2_match() interprets
  return Splitter(std::move(code));
}

void Splitter::split(std::string_view text, const std::function<void(std::string_view)>& take) const {
  thread_local const Scratch scratch;
  // Far more than any sane pattern needs for one piece, even if the text is one: a run of spaces is tried
  // from each of its ends once.
  pcre2_set_match_limit(scratch.context,
                        static_cast<uint32_t>(std::min<size_t>(10'000'000 + 8 * text.size(), UINT32_MAX)));
  const auto* const subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const PCRE2_SIZE* const found = pcre2_get_ovector_pointer(scratch.match);

  size_t at = 0, search_from = 0;
  while (search_from < text.size()) {
    const auto match = [&](uint32_t options) {
      return pcre2_match(code_->code, subject, text.size(), search_from, PCRE2_NO_UTF_CHECK | options,
                         scratch.match, scratch.context);
    };
    int outcome = match(0);
    // Compiled code works on a small stack; the interpreter takes what it needs from the heap.
    if (outcome == PCRE2_ERROR_JIT_STACKLIMIT) outcome = match(PCRE2_NO_JIT);

    if (outcome < 0) break;  // nothing more to find, or gave up: the rest is one piece

    const size_t first = found[0], last = found[1];
    if (last <= first || first < at) {  // matched nothing (\K or lookarounds can make the ends cross)
      search_from += character_length(text[search_from]);
      continue;
    }
    if (first > at) take(text.substr(at, first - at));
    take(text.substr(first, last - first));
    at = search_from = last;
  }
  if (at < text.size()) take(text.substr(at));
}

}  // namespace tandem::engine
