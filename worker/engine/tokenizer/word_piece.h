// Text to token ids for BERT encoders: WordPiece from a Hugging Face `tokenizer.json`.

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "shared/base/result.h"
#include "worker/engine/tokens.h"

namespace tandem::engine {

// A word becomes the longest token it begins with, then the longest "##" token its rest begins with, and so
// on; one that cannot be spelled so is a single [UNK]. Immutable after loading; safe from any thread.
class WordPieceTokenizer {
 public:
  // Reads `folder`/tokenizer.json. kNotFound, kCorrupt (not JSON, ids with holes), kUnsupported (not BERT's
  // normaliser, pre-tokenizer, model and template: says what was found), each with the path. "truncation"
  // and "padding" of the file are not looked at: that is the caller's business, as for the reference.
  static Result<WordPieceTokenizer> load(const std::filesystem::path& folder);
  // The same from the content of a tokenizer.json.
  static Result<WordPieceTokenizer> parse(std::string_view tokenizer_json);
  ~WordPieceTokenizer();
  WordPieceTokenizer(WordPieceTokenizer&&) noexcept;
  WordPieceTokenizer& operator=(WordPieceTokenizer&&) noexcept;

  // Ids of `text` between [CLS] and [SEP], as the reference gives them: spellings such as "[MASK]" become
  // that token. At most `n_tokens_max` in all: the text is cut off behind, the two marks stay (n_tokens_max
  // is at least 2). Invalid UTF-8 counts as U+FFFD, which BERT drops.
  Tokens encode(std::string_view text, size_t n_tokens_max = SIZE_MAX) const;

  size_t n_vocab() const;
  bool lowercases() const;
  std::string_view fingerprint() const;  // hash of the file, hex

 private:
  struct Data;
  explicit WordPieceTokenizer(std::unique_ptr<const Data> data);
  std::unique_ptr<const Data> data_;
};

}  // namespace tandem::engine
