// The nearest of many unit vectors. In memory only; rebuilt from the store.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "shared/base/result.h"

namespace tandem::semantic {

struct Neighbour {
  uint64_t id = 0;
  double similarity = 0;  // cosine
};

// One scope. Small ones are scanned, large ones have a graph (hnswlib); similarities are computed anew in a
// fixed order, so they are the same bits everywhere, though a graph may now and then miss a neighbour
// (recall@1 of 0.99 and more: semantic_index_test). One thread.
class SemanticIndex {
 public:
  // Above `scan_max` vectors there is a graph.
  explicit SemanticIndex(size_t dimension, size_t scan_max = 500);
  ~SemanticIndex();
  SemanticIndex(SemanticIndex&&) noexcept;
  SemanticIndex& operator=(SemanticIndex&&) noexcept;

  // A new id, or another vector for a known one. kInvalid: another dimension, or not of unit length. kFull:
  // no memory for the graph.
  Result<void> add(uint64_t id, std::span<const float> unit);
  // True when it was there.
  bool remove(uint64_t id);
  // The same vector under a new id; true when `id` was there. `to` must not be.
  bool rename(uint64_t id, uint64_t to);
  // At most k, nearest first; equals by id. kInvalid: another dimension.
  Result<std::vector<Neighbour>> search(std::span<const float> unit, size_t k) const;
  // The same by looking at all: the reference.
  std::vector<Neighbour> scan(std::span<const float> unit, size_t k) const;

  size_t size() const { return slot_of_.size(); }
  // Vectors and graph, about.
  size_t memory_bytes() const;

 private:
  struct Graph;

  Result<void> build_graph();
  double similarity(std::span<const float> unit, size_t slot) const;
  std::vector<Neighbour> nearest(std::vector<Neighbour> found, size_t k) const;

  size_t dimension_, scan_max_;
  std::vector<float> rows_;    // by slot
  std::vector<uint64_t> ids_;  // by slot; kGone where a vector was removed
  std::unordered_map<uint64_t, size_t> slot_of_;
  std::unique_ptr<Graph> graph_;  // labels are slots
};

}  // namespace tandem::semantic
