// All tokens of a vocabulary by their bytes, so that tokens which begin alike are tried together.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "worker/engine/tokenizer/tokenizer.h"
#include "worker/engine/tokens.h"

namespace tandem::engine {

// A tree in one array, each node before its children: a walk goes forward, or jumps over what is below a
// node. Immutable; safe from any thread. About 5 MB for 150,000 tokens.
class TokenTrie {
 public:
  struct Node {
    uint32_t after = 0;  // the node behind all that is below this one
    TokenId token = -1;  // that ends here; -1: none
    uint16_t depth = 0;  // bytes in front of this one
    uint8_t byte = 0;
  };

  // The tokens that text is made of: no special and no other added ones. Every byte is a token, or it is a
  // bug: tokenizers without one are refused at load.
  static std::shared_ptr<const TokenTrie> make(const Tokenizer& tokenizer);

  std::span<const Node> nodes() const { return nodes_; }
  size_t n_vocab() const { return n_vocab_; }
  size_t depth_max() const { return depth_max_; }  // bytes of the longest token

  // The token's bytes; empty for what is not in the tree.
  std::string_view bytes_of(TokenId id) const {
    const auto i = static_cast<size_t>(id);
    if (id < 0 || i >= n_vocab_) return {};
    return std::string_view(text_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
  }

 private:
  TokenTrie() = default;

  std::vector<Node> nodes_;
  std::string text_;               // of all tokens by id
  std::vector<uint32_t> offsets_;  // [id] in text_, and its end
  size_t n_vocab_ = 0, depth_max_ = 0;
};

}  // namespace tandem::engine
