// Rotary position embedding: turns pairs of a head's values by an angle that grows with the position.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tandem::engine {

// Cosines and sines for positions [0, n_positions) and pairs [0, d_head / 2):
//
//   angle(p, i) = p * theta^(-2 i / d_head)
//
// Angles are computed in double and rounded once at the end. The reference computes them in float and is
// itself off by up to 1e-3 at position 131071; below position 4096 both agree within 4e-5.
class RopeTable {
 public:
  // d_head must be even.
  RopeTable(double theta, size_t d_head) : theta_(theta), n_pairs_(d_head / 2) {}

  // Computes what is missing up to `n_positions`; grows by doubling, so that a long context costs little per
  // step.
  void grow_to(size_t n_positions);

  size_t n_positions() const { return n_positions_; }
  size_t d_head() const { return n_pairs_ * 2; }
  std::span<const float> cosines(size_t position) const {
    return {cosines_.data() + position * n_pairs_, n_pairs_};
  }
  std::span<const float> sines(size_t position) const {
    return {sines_.data() + position * n_pairs_, n_pairs_};
  }

 private:
  double theta_;
  size_t n_pairs_;
  size_t n_positions_ = 0;
  std::vector<float> cosines_, sines_;
};

// Turns every head of a row in place. Pairs are (i, i + d_head / 2), the halves of a head, not neighbours.
//
//   row  [n_heads * d_head]
//
// Cannot fail; a position outside the table is a bug and aborts.
void rope(const RopeTable& table, uint32_t position, std::span<float> row);

}  // namespace tandem::engine
