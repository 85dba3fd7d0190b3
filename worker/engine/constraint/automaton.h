// A grammar run over bytes: states are made when they are first reached, and remembered.

#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "worker/engine/constraint/grammar.h"

namespace tandem::engine {

// One thread at a time. From every state but kDead some text leads to an end.
//
// Everything but the memory it takes depends on the bytes read alone, never on what was read before in other
// runs. What is ambiguous in more than kThreadsMax ways at once loses the last ways: fewer texts are allowed
// then, but never a wrong one, and never none.
class Automaton {
 public:
  using State = int32_t;
  static constexpr State kDead = -1;
  static constexpr size_t kThreadsMax = 8192;

  explicit Automaton(std::shared_ptr<const Grammar> grammar);

  State start() const { return 0; }
  State step(State from, uint8_t byte) {
    const uint32_t row = states_[static_cast<size_t>(from)].row;
    const size_t column = class_of_[byte];
    if (row != kNoRow) {
      const State known = next_[row * n_classes_ + column];
      if (known != kUnknown) return known;
    }
    return step_first_time(from, column);
  }

  bool accepts(State state) const { return states_[static_cast<size_t>(state)].accepts; }
  // The text is whole and nothing can follow.
  bool is_final(State state) const {
    return states_[static_cast<size_t>(state)].n_threads == 0 && accepts(state);
  }
  size_t n_threads(State state) const { return states_[static_cast<size_t>(state)].n_threads; }
  size_t n_states() const { return states_.size(); }

  // Roughly, of all that is remembered.
  size_t n_bytes() const;
  // Forgets everything: states from before mean nothing any more.
  void clear();

 private:
  static constexpr State kUnknown = -2;
  static constexpr uint32_t kNoRow = UINT32_MAX;

  struct Thread {
    uint32_t node = 0, stack = 0;
    bool operator==(const Thread&) const = default;
  };
  struct Stack {  // 0: empty
    uint32_t node = 0, below = 0, depth = 0;
  };
  struct StateData {
    uint32_t first_thread = 0, n_threads = 0;
    uint32_t row = kNoRow;  // of its transitions
    bool accepts = false;
  };

  State step_first_time(State from, size_t column);
  uint32_t push(uint32_t node, uint32_t below);
  void follow(Thread from);  // appends to found_ what reads bytes; without reading any
  State intern();            // what was found

  std::shared_ptr<const Grammar> grammar_;
  std::array<uint8_t, 256> class_of_;
  size_t n_classes_;

  std::vector<StateData> states_;
  std::vector<Thread> threads_;
  std::vector<State> next_;  // [row, class]
  std::unordered_multimap<uint64_t, State> states_by_hash_;
  std::vector<Stack> stacks_;
  std::unordered_map<uint64_t, uint32_t> stack_ids_;  // by node and below

  std::vector<Thread> found_, todo_, visited_;
  std::unordered_set<uint64_t> visited_many_;
  bool found_end_ = false;
};

// Whether the whole text is one of the grammar's.
bool fits(const std::shared_ptr<const Grammar>& grammar, std::string_view text);

}  // namespace tandem::engine
