// UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace tandem {

// The number of leading bytes that are whole, valid characters; text.size() when all are.
size_t utf8_valid_prefix(std::string_view text);

// kInvalid with the offset and the offending bytes in hex.
Result<void> check_utf8(std::string_view text);

// Every invalid byte sequence replaced by U+FFFD, one per maximal subpart (Unicode 15, section 3.9, the way
// that browsers and Python do it).
std::string utf8_lossy(std::string_view text);

// Characters, not bytes. `text` is valid UTF-8.
size_t utf8_length(std::string_view text);

}  // namespace tandem
