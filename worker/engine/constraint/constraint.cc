#include "worker/engine/constraint/constraint.h"

#include "shared/base/assert.h"

namespace tandem::engine {

Constraint::Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie,
                       size_t automaton_bytes_max)
    : trie_(std::move(trie)), automaton_bytes_max_(automaton_bytes_max), automaton_(std::move(grammar)) {}

// Where `progress` is in the automaton as it is now. After a clearing the text is read again: it is short,
// and so nobody has to know who still holds a state.
void Constraint::find_place(Progress& progress) const {
  if (progress.epoch == epoch_) {
    if (automaton_.n_bytes() <= automaton_bytes_max_) return;
    automaton_.clear();
    masks_.clear();
    by_use_.clear();
    ++epoch_;
    ++stats_.n_forgotten;
  }
  progress.epoch = epoch_;
  progress.state = automaton_.start();
  for (const char byte : progress.text) {
    progress.state = automaton_.step(progress.state, static_cast<uint8_t>(byte));
    TANDEM_ASSERT(progress.state != Automaton::kDead, "only allowed tokens were read");
  }
}

std::shared_ptr<const TokenMask> Constraint::mask(Progress& progress) const {
  const std::scoped_lock lock(mutex_);
  find_place(progress);
  if (const auto known = masks_.find(progress.state); known != masks_.end()) {
    ++stats_.n_masks_found;
    by_use_.splice(by_use_.begin(), by_use_, known->second.used);
    return known->second.mask;
  }
  ++stats_.n_masks_made;
  auto made = std::make_shared<const TokenMask>(make_mask(progress.state));
  if (masks_.size() >= kMasksMax) {
    masks_.erase(by_use_.back());
    by_use_.pop_back();
  }
  by_use_.push_front(progress.state);
  masks_.emplace(progress.state, Kept{made, by_use_.begin()});
  return made;
}

// The tree and the automaton side by side: where the automaton dies, all tokens below are passed over.
TokenMask Constraint::make_mask(Automaton::State from) const {
  const std::span<const TokenTrie::Node> nodes = trie_->nodes();
  std::vector<TokenId> allowed;
  std::vector<Automaton::State> path(trie_->depth_max() + 1, from);
  std::vector<bool> reached;  // [state]: counted once each, so that what is remembered changes nothing
  Automaton::State last = Automaton::kDead;
  size_t work = 0, i = 0;
  while (i < nodes.size() && work < kWalkMax) {
    const TokenTrie::Node& node = nodes[i];
    const Automaton::State to = automaton_.step(path[node.depth], node.byte);
    if (to == Automaton::kDead) {
      i = node.after;
      continue;
    }
    if (to != last) {
      const auto place = static_cast<size_t>(to);
      if (place >= reached.size()) reached.resize(place + 1);
      if (!reached[place]) work += 16 + automaton_.n_threads(to);
      reached[place] = true;
    }
    last = to;
    path[node.depth + 1u] = to;
    if (node.token >= 0) allowed.push_back(node.token);
    ++i;
  }
  // Cut short: single bytes keep every text possible.
  for (; i < nodes.size(); i = nodes[i].after) {
    if (nodes[i].depth > 0 || nodes[i].token < 0) continue;
    if (automaton_.step(from, nodes[i].byte) != Automaton::kDead) allowed.push_back(nodes[i].token);
  }
  return TokenMask(std::move(allowed), trie_->n_vocab());
}

bool Constraint::may_end(Progress& progress) const {
  const std::scoped_lock lock(mutex_);
  find_place(progress);
  return automaton_.accepts(progress.state);
}

bool Constraint::must_end(Progress& progress) const {
  const std::scoped_lock lock(mutex_);
  find_place(progress);
  return automaton_.is_final(progress.state);
}

void Constraint::advance(Progress& progress, TokenId token) const {
  const std::scoped_lock lock(mutex_);
  find_place(progress);
  const std::string_view bytes = trie_->bytes_of(token);
  TANDEM_ASSERT(!bytes.empty(), "a token of text, as masks have them");
  for (const char byte : bytes) {
    progress.state = automaton_.step(progress.state, static_cast<uint8_t>(byte));
    TANDEM_ASSERT(progress.state != Automaton::kDead, "only allowed tokens are read");
  }
  progress.text += bytes;
}

Constraint::Stats Constraint::stats() const {
  const std::scoped_lock lock(mutex_);
  Stats stats = stats_;
  stats.n_states = automaton_.n_states();
  return stats;
}

}  // namespace tandem::engine
