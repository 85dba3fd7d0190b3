// Text to token ids and back, exactly as the model's authors do it: byte-level BPE from a Hugging Face
// `tokenizer.json` (normaliser NFC, the Qwen split pattern, special tokens).

#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "shared/base/result.h"
#include "worker/engine/tokens.h"

namespace tandem::engine {

// A piece of a prompt. Text of users is always kPlain: what looks like a control token in it stays text, so
// nothing a user writes can leave its place in the prompt. Neighbouring plain pieces are one text to the
// tokenizer (as in the reference, which splits at special tokens only).
struct PromptPiece {
  enum class Kind : uint8_t { kPlain, kSpecial };
  Kind kind = Kind::kPlain;
  std::string text;  // of kSpecial: the token's spelling, such as "<|im_start|>"
};

// Immutable after loading; safe from any thread.
class Tokenizer {
 public:
  // Reads `folder`/tokenizer.json, which says all, or where there is none the GGUF file that `folder` means
  // (gguf_file_of(); tokenizer_gguf.h). kNotFound, kCorrupt (not JSON, with the place; a
  // vocabulary with holes), kUnsupported (not a byte-level BPE as Qwen's: says what was found), each with the
  // path.
  static Result<Tokenizer> load(const std::filesystem::path& folder);
  // The same from the content of a tokenizer.json.
  static Result<Tokenizer> parse(std::string_view tokenizer_json);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Ids of `text` with special tokens recognised, as the reference's encode() with add_special_tokens off.
  // Invalid UTF-8 counts as U+FFFD (as in the golden vectors).
  Tokens encode(std::string_view text) const;
  // Ids of `text` with nothing recognised.
  Tokens encode_plain(std::string_view text) const;
  // kNotFound when a special piece is no special token of this tokenizer.
  Result<Tokens> encode(std::span<const PromptPiece> pieces) const;

  // Text of `ids`, special tokens skipped or spelled out; broken UTF-8 becomes U+FFFD. Unknown ids give
  // nothing.
  std::string decode(std::span<const TokenId> ids, bool skip_special = true) const;
  // The raw bytes of one token, which may be a part of a character; a special token's are its spelling, an
  // unknown id has none.
  std::string_view token_bytes(TokenId id) const;

  // The token that encode() recognises by this spelling; also one that is not a control token, as "<think>".
  std::optional<TokenId> special_id(std::string_view spelling) const;
  bool is_special(TokenId id) const;     // a control token: skipped by decode()
  size_t n_vocab() const;                // ids the tokenizer knows; the model's may be larger
  std::string_view fingerprint() const;  // hash of the file, hex: part of every cache key

 private:
  struct Data;
  explicit Tokenizer(std::unique_ptr<Data> data);
  static Result<Tokenizer> load_gguf(const std::filesystem::path& path);
  std::unique_ptr<Data> data_;
};

// Turns tokens into text as they come, in whole characters only: what could still become part of a longer
// character is held back. One per sequence.
class StreamingDetokenizer {
 public:
  explicit StreamingDetokenizer(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  // The text that became certain with `id`, often "". Special tokens give "".
  std::string push(TokenId id);
  // What is left: an unfinished character becomes U+FFFD.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;  // bytes of an unfinished character, at most 3
};

}  // namespace tandem::engine
