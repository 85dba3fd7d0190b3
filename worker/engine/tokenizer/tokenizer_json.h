// What a Hugging Face tokenizer.json says, checked: the only place that knows the format.

#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/tokenizer/bpe.h"
#include "worker/engine/tokens.h"

namespace tandem::engine {

struct AddedToken {
  TokenId id = 0;
  std::string text;
  bool special = false;  // a control token: not shown to people
};

struct TokenizerFile {
  std::vector<std::string> tokens;  // bytes by id, added tokens included; none empty, no id unused
  std::vector<bool> added;          // by id: not for BPE to find
  std::vector<AddedToken> added_tokens;
  std::vector<Merge> merges;  // by rank
  std::array<TokenId, 256> byte_ids{};
  std::string split_pattern;
  bool nfc = false;
  bool ignore_merges = false;
};

// kCorrupt: not JSON (with line, column and byte), a part missing or of a wrong type, ids that are not 0 to
// n-1 once each, a merge of what is no token. kUnsupported: JSON of another kind of tokenizer; names what was
// found. "truncation" and "padding" are the caller's business here and not looked at.
Result<TokenizerFile> parse_tokenizer_json(std::string_view text);

}  // namespace tandem::engine
