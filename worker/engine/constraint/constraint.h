// A grammar held against a vocabulary: which token may come next. The door of this folder.

#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>

#include "worker/engine/constraint/automaton.h"
#include "worker/engine/constraint/grammar.h"
#include "worker/engine/constraint/token_mask.h"
#include "worker/engine/constraint/token_trie.h"

namespace tandem::engine {

// Made once for a task and a tokenizer, shared by all sequences under it; safe from any thread. What was
// found out about one answer (states, masks) is kept for the next, within bounds; it saves time and changes
// nothing.
class Constraint {
 public:
  static constexpr size_t kMasksMax = 512;  // least recently used first; 20 KB each at most
  static constexpr size_t kAutomatonBytesMax = 32u << 20;
  // Work for one mask: states that the walk reaches and their threads. Behind it only tokens found so far and
  // single bytes are allowed: a poorer choice, never a wrong one, and the same one each time.
  static constexpr size_t kWalkMax = 1u << 20;

  // With more than `automaton_bytes_max` of states, all are forgotten and those that are needed found out
  // again.
  Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie,
             size_t automaton_bytes_max = kAutomatonBytesMax);

  // How far one answer has come. Plain data; used with its own constraint only.
  struct Progress {
    std::string text;  // bytes so far, to find the place again
    Automaton::State state = 0;
    uint64_t epoch = 0;  // of the memory that `state` is in
  };

  // The tokens that may come next; empty when only the end may. Never empty unless may_end().
  std::shared_ptr<const TokenMask> mask(Progress& progress) const;
  // The text so far is whole: an end token may come.
  bool may_end(Progress& progress) const;
  // It is whole and nothing can follow.
  bool must_end(Progress& progress) const;
  // Goes on by a token that mask() contains, nothing else.
  void advance(Progress& progress, TokenId token) const;

  struct Stats {
    uint64_t n_masks_made = 0, n_masks_found = 0, n_forgotten = 0;
    size_t n_states = 0;  // remembered now
  };
  Stats stats() const;

 private:
  void find_place(Progress& progress) const;
  TokenMask make_mask(Automaton::State from) const;

  std::shared_ptr<const TokenTrie> trie_;
  size_t automaton_bytes_max_;

  mutable std::mutex mutex_;  // of all below
  mutable Automaton automaton_;
  mutable uint64_t epoch_ = 1;
  struct Kept {
    std::shared_ptr<const TokenMask> mask;
    std::list<Automaton::State>::iterator used;
  };
  mutable std::unordered_map<Automaton::State, Kept> masks_;
  mutable std::list<Automaton::State> by_use_;  // the latest first
  mutable Stats stats_;
};

}  // namespace tandem::engine
