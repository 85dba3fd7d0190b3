// The tokens that may come next, and how logits are held to them.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/engine/tokens.h"

namespace tandem::engine {

// A set of token ids below n_vocab. A few are kept as a list, many as bits.
class TokenMask {
 public:
  // `ids` in any order, each once; at least one.
  TokenMask(std::vector<TokenId> ids, size_t n_vocab);

  bool contains(TokenId id) const;
  size_t size() const { return size_; }
  TokenId first() const { return first_; }

  // -infinity for all that are not in the set, and for all logits behind n_vocab. The others stay.
  void apply(std::span<float> logits) const;

  size_t n_bytes() const { return bits_.size() * sizeof(uint64_t) + few_.size() * sizeof(TokenId); }

 private:
  std::vector<TokenId> few_;    // in order
  std::vector<uint64_t> bits_;  // [id / 64]; empty when there are few
  size_t size_ = 0;
  TokenId first_ = 0;
};

}  // namespace tandem::engine
