// The vocabulary of a tokenizer: from the spellings of the file to bytes and ids, with every way checked in
// which they may not fit together.

#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
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
  std::vector<bool> added;          // by id: never what BPE comes to
  std::vector<AddedToken> added_tokens;
  std::vector<Merge> merges;  // by rank
  std::array<TokenId, 256> byte_ids{};
  std::string split_pattern;
  bool nfc = false;
  bool ignore_merges = false;
};

// As the file has it: words and merges in the alphabet of bytes, added tokens as they are.
struct Spelled {
  struct Added {
    std::string text;
    int64_t id = 0;
    bool special = false;
  };
  std::vector<std::pair<std::string, int64_t>> words;
  std::vector<std::pair<std::string, std::string>> merges;
  std::vector<Added> added;
};

// Fills tokens, added, added_tokens, merges and byte_ids of `file`. kCorrupt unless ids are 0 to n-1 once
// each, every token is there once, every byte has one, and merges join tokens into tokens; kUnsupported for
// words that are not spelled in bytes, and for merges that end in an added token (plain text could become a
// control token).
Result<void> place_vocabulary(const Spelled& spelled, TokenizerFile& file);

// A text of the file as it may stand in an error: in quotes, valid, not longer than a line.
std::string in_quotes(std::string_view text);

}  // namespace tandem::engine
