// Which KV block holds which beginning: the tree behind the prefix cache, without the memory itself.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "worker/engine/tokens.h"

namespace tandem::engine {

// A node is a block; it stands for its own tokens behind those of its parents. Nodes with children are full
// blocks. Tokens themselves are compared, in the order of the alphabet, so that the node which begins most
// like a text is a neighbour of the place where the text would stand; nothing rests on a hash.
//
// The owner (KvCache's pool) says which blocks somebody holds. Who holds a node holds its parents, too; so a
// node that nobody holds has only such nodes below it, and all of these can be had back, leaves first.
class PrefixIndex {
 public:
  static constexpr uint32_t kRoot = UINT32_MAX;

  explicit PrefixIndex(size_t n_blocks) : nodes_(n_blocks) {}
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  struct Match {
    uint32_t block = kRoot;
    size_t n_tokens = 0;  // 0: no child begins with the first token
  };
  // The child of `parent` whose first tokens are most like `tokens`.
  Match best(uint32_t parent, std::span<const TokenId> tokens) const;

  bool has(uint32_t block) const { return nodes_[block].in_tree; }
  size_t n_tokens(uint32_t block) const;  // of the block's own; 0 when it is not in the tree
  bool is_held(uint32_t block) const { return nodes_[block].held; }
  bool is_kept(uint32_t block) const { return nodes_[block].kept; }

  // Puts a block into the tree that somebody holds. No other child of `parent` has exactly these tokens.
  void add(uint32_t parent, std::span<const TokenId> tokens, uint32_t block);
  // Takes out a block without children, held or not.
  void remove(uint32_t block);

  // Of blocks in the tree: the first owner came, the last one went.
  void hold(uint32_t block);
  void let_go(uint32_t block);
  // It was of use (a copy was made of it).
  void touch(uint32_t block);
  // It goes after all that are not kept.
  void keep(uint32_t block);

  // The one to take back next: nobody holds it, it has no children, and it was used longest ago.
  std::optional<uint32_t> oldest() const;
  size_t n_unheld() const { return n_unheld_; }

 private:
  using ByContent = std::map<std::pair<uint32_t, Tokens>, uint32_t>;
  struct Node {
    ByContent::iterator place{};
    uint64_t used = 0;
    uint32_t n_children = 0;
    bool in_tree = false, held = false, kept = false;
  };
  using Age = std::tuple<bool, uint64_t, uint32_t>;  // kept, used, block

  Age age(uint32_t block) const { return {nodes_[block].kept, nodes_[block].used, block}; }
  // Runs `change` with the block out of `evictable_`, and puts it back if it belongs there then.
  template <typename Change>
  void update(uint32_t block, const Change& change);

  std::vector<Node> nodes_;
  ByContent by_content_;
  std::set<Age> evictable_;
  uint64_t now_ = 0;
  size_t n_unheld_ = 0;
};

}  // namespace tandem::engine
