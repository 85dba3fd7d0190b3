#include "worker/engine/kv/prefix_index.h"

#include <algorithm>

#include "shared/base/assert.h"

namespace tandem::engine {

template <typename Change>
void PrefixIndex::update(uint32_t block, const Change& change) {
  Node& node = nodes_[block];
  evictable_.erase(age(block));
  change(node);
  if (node.in_tree && !node.held && node.n_children == 0) evictable_.insert(age(block));
}

PrefixIndex::Match PrefixIndex::best(uint32_t parent, std::span<const TokenId> tokens) const {
  const auto place = by_content_.lower_bound({parent, Tokens(tokens.begin(), tokens.end())});
  Match best;
  const auto consider = [&](ByContent::const_iterator one) {
    const auto& [key, block] = *one;
    if (key.first != parent) return;
    const auto parted = std::mismatch(tokens.begin(), tokens.end(), key.second.begin(), key.second.end());
    const auto n_tokens = static_cast<size_t>(parted.first - tokens.begin());
    if (n_tokens > best.n_tokens) best = {block, n_tokens};
  };
  if (place != by_content_.begin()) consider(std::prev(place));
  if (place != by_content_.end()) consider(place);
  return best;
}

size_t PrefixIndex::n_tokens(uint32_t block) const {
  return has(block) ? nodes_[block].place->first.second.size() : 0;
}

void PrefixIndex::add(uint32_t parent, std::span<const TokenId> tokens, uint32_t block) {
  TANDEM_ASSERT(!has(block) && (parent == kRoot || has(parent)), "a new node hangs on one that is there");
  const auto [place, is_new] =
      by_content_.emplace(std::pair(parent, Tokens(tokens.begin(), tokens.end())), block);
  TANDEM_ASSERT(is_new, "two nodes do not have the same tokens");
  nodes_[block] = {
      .place = place, .used = ++now_, .n_children = 0, .in_tree = true, .held = true, .kept = false};
  if (parent != kRoot) update(parent, [](Node& node) { ++node.n_children; });
}

void PrefixIndex::remove(uint32_t block) {
  TANDEM_ASSERT(has(block) && nodes_[block].n_children == 0, "only leaves are taken out");
  const uint32_t parent = nodes_[block].place->first.first;
  update(block, [&](Node& node) {
    if (!node.held) --n_unheld_;
    by_content_.erase(node.place);
    node = {};
  });
  if (parent != kRoot) update(parent, [](Node& node) { --node.n_children; });
}

void PrefixIndex::hold(uint32_t block) {
  update(block, [&](Node& node) {
    TANDEM_ASSERT(node.in_tree && !node.held, "the first owner of a block in the tree");
    node.held = true;
    --n_unheld_;
  });
}

void PrefixIndex::let_go(uint32_t block) {
  update(block, [&](Node& node) {
    TANDEM_ASSERT(node.in_tree && node.held, "the last owner of a block in the tree");
    node.held = false;
    node.used = ++now_;
    ++n_unheld_;
  });
}

void PrefixIndex::touch(uint32_t block) {
  update(block, [&](Node& node) { node.used = ++now_; });
}

void PrefixIndex::keep(uint32_t block) {
  update(block, [](Node& node) { node.kept = true; });
}

std::optional<uint32_t> PrefixIndex::oldest() const {
  if (evictable_.empty()) return std::nullopt;
  return std::get<uint32_t>(*evictable_.begin());
}

}  // namespace tandem::engine
