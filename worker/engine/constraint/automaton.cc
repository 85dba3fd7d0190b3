#include "worker/engine/constraint/automaton.h"

#include <algorithm>

namespace tandem::engine {
namespace {

using Node = Grammar::Node;
constexpr size_t kFewThreads = 48;  // looked through one by one; more are hashed

uint64_t joined(uint32_t high, uint32_t low) {
  return uint64_t{high} << 32 | low;
}

}  // namespace

Automaton::Automaton(std::shared_ptr<const Grammar> grammar)
    : grammar_(std::move(grammar)), class_of_(grammar_->class_of), n_classes_(grammar_->n_classes) {
  clear();
}

void Automaton::clear() {
  states_.clear();
  threads_.clear();
  next_.clear();
  states_by_hash_.clear();
  stack_ids_.clear();
  stacks_.assign(1, {});
  follow({grammar_->start, 0});
  intern();
}

size_t Automaton::n_bytes() const {
  return states_.size() * (sizeof(StateData) + 48) + threads_.size() * sizeof(Thread) +
         next_.size() * sizeof(State) + stacks_.size() * (sizeof(Stack) + 48);
}

uint32_t Automaton::push(uint32_t node, uint32_t below) {
  const auto [known, is_new] = stack_ids_.emplace(joined(node, below), static_cast<uint32_t>(stacks_.size()));
  if (is_new) stacks_.push_back({node, below, stacks_[below].depth + 1});
  return known->second;
}

// Depth first, so that the order of what is found is the grammar's.
void Automaton::follow(Thread from) {
  const Grammar& grammar = *grammar_;
  todo_.assign(1, from);
  while (!todo_.empty()) {
    const Thread at = todo_.back();
    todo_.pop_back();
    const uint32_t need = grammar.need[at.node];
    if (need > Grammar::kDepthMax || stacks_[at.stack].depth + need > Grammar::kDepthMax) continue;
    if (visited_.size() < kFewThreads) {
      if (std::find(visited_.begin(), visited_.end(), at) != visited_.end()) continue;
      visited_.push_back(at);
    } else {
      if (visited_many_.empty()) {
        for (const Thread& one : visited_) visited_many_.insert(joined(one.node, one.stack));
      }
      if (!visited_many_.insert(joined(at.node, at.stack)).second) continue;
      // Room for forks and calls between what is kept. Where it stops is the same each time.
      if (visited_many_.size() > 4 * kThreadsMax) return;
    }
    const Node& node = grammar.nodes[at.node];
    switch (node.kind) {
      case Node::Kind::kByte:
        if (found_.size() < kThreadsMax) found_.push_back(at);
        break;
      case Node::Kind::kSplit:
        todo_.push_back({node.other, at.stack});
        todo_.push_back({node.next, at.stack});
        break;
      case Node::Kind::kCall: {
        const bool returns_at_once = grammar.nodes[node.next].kind == Node::Kind::kEnd;
        todo_.push_back({node.other, returns_at_once ? at.stack : push(node.next, at.stack)});
        break;
      }
      case Node::Kind::kEnd:
        if (at.stack == 0) {
          found_end_ = true;
        } else {
          todo_.push_back({stacks_[at.stack].node, stacks_[at.stack].below});
        }
        break;
    }
  }
}

Automaton::State Automaton::step_first_time(State from, size_t column) {
  StateData& source = states_[static_cast<size_t>(from)];
  if (source.row == kNoRow) {
    source.row = static_cast<uint32_t>(next_.size() / n_classes_);
    next_.resize(next_.size() + n_classes_, kUnknown);
  }
  const size_t place = source.row * n_classes_ + column;
  const uint8_t byte = grammar_->byte_of[column];
  for (uint32_t i = 0; i < source.n_threads; ++i) {
    const Thread thread = threads_[source.first_thread + i];
    const Node& node = grammar_->nodes[thread.node];
    if (node.first <= byte && byte <= node.last) follow({node.next, thread.stack});
  }
  const State to = found_.empty() && !found_end_ ? kDead : intern();
  visited_.clear();
  visited_many_.clear();
  next_[place] = to;
  return to;
}

Automaton::State Automaton::intern() {
  uint64_t hash = found_end_ ? 0x9E3779B97F4A7C15 : 0;
  for (const Thread& thread : found_) {
    hash = (hash ^ joined(thread.node, thread.stack)) * 0xFF51AFD7ED558CCD;
    hash ^= hash >> 32;
  }
  const auto [first, last] = states_by_hash_.equal_range(hash);
  State state = kDead;
  for (auto one = first; one != last && state == kDead; ++one) {
    const StateData& known = states_[static_cast<size_t>(one->second)];
    if (known.accepts == found_end_ && known.n_threads == found_.size() &&
        std::equal(found_.begin(), found_.end(), threads_.begin() + known.first_thread)) {
      state = one->second;
    }
  }
  if (state == kDead) {
    state = static_cast<State>(states_.size());
    states_.push_back({.first_thread = static_cast<uint32_t>(threads_.size()),
                       .n_threads = static_cast<uint32_t>(found_.size()),
                       .accepts = found_end_});
    threads_.insert(threads_.end(), found_.begin(), found_.end());
    states_by_hash_.emplace(hash, state);
  }
  found_.clear();
  visited_.clear();
  visited_many_.clear();
  found_end_ = false;
  return state;
}

bool fits(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  Automaton automaton(grammar);
  Automaton::State state = automaton.start();
  for (const char byte : text) {
    state = automaton.step(state, static_cast<uint8_t>(byte));
    if (state == Automaton::kDead) return false;
  }
  return automaton.accepts(state);
}

}  // namespace tandem::engine
