// What a Hugging Face tokenizer.json says, checked: the only place that knows the format.

#pragma once

#include <string_view>

#include "shared/base/result.h"
#include "worker/engine/tokenizer/vocabulary.h"

namespace tandem::engine {

// kCorrupt: not JSON (with line, column and byte), a part missing or of a wrong type, ids that are not 0 to
// n-1 once each, a merge of what is no token. kUnsupported: JSON of another kind of tokenizer; names what was
// found. "truncation" and "padding" are the caller's business here and not looked at.
Result<TokenizerFile> parse_tokenizer_json(std::string_view text);

}  // namespace tandem::engine
