// Requests that came before, byte by byte: which answers they ask for. So one that is repeated is answered
// from the cache without being read, rendered and tokenised again, which takes ten times as long as to look
// up.

#pragma once

#include <cstddef>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shared/base/hash.h"
#include "worker/tasks/task.h"

namespace tandem {

// One thread. Keeps `n_max` to 2 x `n_max` of those used last, some hundred bytes each.
class KnownRequests {
 public:
  struct Known {
    std::shared_ptr<const TaskBook> book;                  // of the tasks; another one means something else
    std::vector<std::pair<const Task*, Hash128>> answers;  // task and key, in the order asked for
  };

  explicit KnownRequests(size_t n_max) : n_max_(n_max) {}

  // Null when no such request was remembered lately.
  const Known* find(const Hash128& payload) {
    if (const auto found = young_.find(payload); found != young_.end()) return &found->second;
    auto node = old_.extract(payload);
    if (node.empty()) return nullptr;
    make_room();
    return &young_.insert(std::move(node)).position->second;
  }
  void remember(const Hash128& payload, Known known) {
    make_room();
    young_.insert_or_assign(payload, std::move(known));
  }

 private:
  struct HashOf {
    size_t operator()(const Hash128& hash) const noexcept { return hash.low64(); }
  };
  using Generation = std::unordered_map<Hash128, Known, HashOf>;

  void make_room() {
    if (young_.size() >= n_max_) old_ = std::exchange(young_, {});
  }

  const size_t n_max_;
  Generation young_, old_;
};

}  // namespace tandem
