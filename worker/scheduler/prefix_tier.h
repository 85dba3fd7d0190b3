// Where keys and values outlive the KV cache in memory, as the inference sees it: blocks by the tokens they
// stand for. What lies behind it (a file, a thread that writes) is somebody else's matter.

#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "worker/engine/tokens.h"

namespace tandem {

// Called by the inference thread, between steps: load() may read what it needs, the others must not wait.
// A block of fewer than 32 tokens is the end of a text; any other is full.
class PrefixTier {
 public:
  virtual ~PrefixTier() = default;

  struct Block {
    size_t n_tokens = 0;                 // of the text, behind those before the block
    std::span<const std::byte> content;  // as KvCache::bytes() gave it, checked; until the next call
  };
  // The block behind the first `n_before` tokens of `text` (full blocks) with which more than `n_known`
  // tokens of `text` are there: the full one, else the end of a text that goes on most like this one.
  virtual std::optional<Block> load(std::span<const engine::TokenId> text, size_t n_before,
                                    size_t n_known) = 0;

  // Keeps a block: `text` is all tokens up to its end. It is copied. False when there is no room to do so
  // now; true says that it will be tried.
  virtual bool offer(std::span<const engine::TokenId> text, std::span<const std::byte> content) = 0;

  // The blocks of `text` were of use.
  virtual void used(std::span<const engine::TokenId> text) = 0;
};

}  // namespace tandem
