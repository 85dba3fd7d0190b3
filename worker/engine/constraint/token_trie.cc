#include "worker/engine/constraint/token_trie.h"

#include <algorithm>
#include <bitset>

#include "shared/base/assert.h"

namespace tandem::engine {
namespace {

// Longer ones exist in no vocabulary that is of use; they are left out.
constexpr size_t kTokenBytesMax = 1024;

}  // namespace

std::shared_ptr<const TokenTrie> TokenTrie::make(const Tokenizer& tokenizer) {
  std::shared_ptr<TokenTrie> trie(new TokenTrie);
  trie->n_vocab_ = tokenizer.n_vocab();
  trie->offsets_.push_back(0);
  std::vector<TokenId> ids;
  std::bitset<256> bytes_there;
  for (size_t i = 0; i < trie->n_vocab_; ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view token = tokenizer.token_bytes(id);
    if (!token.empty() && token.size() <= kTokenBytesMax && !tokenizer.is_special(id) &&
        tokenizer.special_id(token) != id) {
      ids.push_back(id);
      trie->text_ += token;
      if (token.size() == 1) bytes_there.set(static_cast<uint8_t>(token[0]));
    }
    trie->offsets_.push_back(static_cast<uint32_t>(trie->text_.size()));
  }
  TANDEM_ASSERT(bytes_there.all(), "the vocabulary was checked at load");
  std::sort(ids.begin(), ids.end(),
            [&](TokenId a, TokenId b) { return trie->bytes_of(a) < trie->bytes_of(b); });

  std::vector<uint32_t> open;  // the nodes on the way to the token before
  std::string_view before;
  const auto close = [&](size_t depth) {
    for (; open.size() > depth; open.pop_back())
      trie->nodes_[open.back()].after = static_cast<uint32_t>(trie->nodes_.size());
  };
  for (const TokenId id : ids) {
    const std::string_view token = trie->bytes_of(id);
    size_t same = 0;
    while (same < before.size() && same < token.size() && before[same] == token[same]) ++same;
    close(same);
    for (size_t depth = same; depth < token.size(); ++depth) {
      open.push_back(static_cast<uint32_t>(trie->nodes_.size()));
      trie->nodes_.push_back(
          {.depth = static_cast<uint16_t>(depth), .byte = static_cast<uint8_t>(token[depth])});
    }
    trie->nodes_[open.back()].token = id;
    trie->depth_max_ = std::max(trie->depth_max_, token.size());
    before = token;
  }
  close(0);
  return trie;
}

}  // namespace tandem::engine
