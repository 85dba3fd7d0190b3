// Byte-pair encoding of one piece: starts from its bytes and joins neighbours, always the pair that was
// learnt first (lowest rank), leftmost when equal.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/engine/tokens.h"

namespace tandem::engine {

// Merges are in the order of their rank. Each pair is there once.
struct Merge {
  TokenId left = 0, right = 0, result = 0;
};

// Immutable; safe from any thread. `tokens` (bytes by id) must outlive it.
class Bpe {
 public:
  // Tokens that are `added` are not for BPE to find. With `ignore_merges` a piece that is one of the others
  // is that token, whatever the merges say.
  Bpe(std::span<const std::string> tokens, const std::vector<bool>& added, std::span<const Merge> merges,
      const std::array<TokenId, 256>& byte_ids, bool ignore_merges);

  // Appends the ids of `piece`, which may be of any length: time is n log n, memory about 25 bytes per byte.
  void encode(std::string_view piece, Tokens& out) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Pair {
    TokenId left = -1, right = -1;
    uint32_t rank = kNone;
  };

  uint32_t rank(TokenId left, TokenId right) const;  // kNone when the two do not join
  TokenId find_word(std::string_view piece) const;   // -1 when it is none
  void insert_word(TokenId id);
  void merge_short(std::string_view piece, Tokens& out) const;
  void merge_long(std::string_view piece, Tokens& out) const;

  std::span<const std::string> tokens_;
  std::array<TokenId, 256> byte_ids_;
  std::vector<TokenId> results_;  // by rank
  std::vector<Pair> pairs_;       // hash table, open addressing, a power of two
  std::vector<TokenId> words_;    // likewise, of ids; pieces that are one token
  size_t longest_word_ = 0;
};

}  // namespace tandem::engine
