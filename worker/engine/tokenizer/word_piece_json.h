// What the tokenizer.json of a BERT model says, checked.

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/tokenizer/bert_words.h"
#include "worker/engine/tokens.h"

namespace tandem::engine {

struct WordPieceFile {
  std::vector<std::string>
      tokens;  // spellings by id, "##" in front of those that continue a word; none empty
  std::vector<std::pair<std::string, TokenId>> added;  // found in a text before anything else
  BertWordRules rules;
  std::string prefix;              // "##"
  TokenId unknown = 0;             // [UNK]
  size_t word_characters_max = 0;  // longer words are [UNK]
  Tokens before, after;            // around every text: [CLS] and [SEP]
};

// kCorrupt: not JSON, a part missing or of a wrong type, ids that are not 0 to n-1 once each, an [UNK] or a
// mark that is no token. kUnsupported: another kind of tokenizer; names what was found.
Result<WordPieceFile> parse_word_piece_json(std::string_view text);

}  // namespace tandem::engine
