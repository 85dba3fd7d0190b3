#include "worker/engine/kernels/rope.h"

#include <algorithm>
#include <cmath>

#include "shared/base/assert.h"
#include "worker/engine/kernels/simd.h"

namespace tandem::engine {

void RopeTable::grow_to(size_t n_positions) {
  if (n_positions <= n_positions_) return;
  n_positions = std::max({n_positions, n_positions_ * 2, size_t{256}});
  cosines_.resize(n_positions * n_pairs_);
  sines_.resize(n_positions * n_pairs_);
  for (size_t i = 0; i < n_pairs_; ++i) {
    const double frequency = std::pow(theta_, -static_cast<double>(i) / static_cast<double>(n_pairs_));
    for (size_t p = n_positions_; p < n_positions; ++p) {
      const double angle = static_cast<double>(p) * frequency;
      cosines_[p * n_pairs_ + i] = static_cast<float>(std::cos(angle));
      sines_[p * n_pairs_ + i] = static_cast<float>(std::sin(angle));
    }
  }
  n_positions_ = n_positions;
}

void rope(const RopeTable& table, uint32_t position, std::span<float> row) {
  const size_t d_head = table.d_head(), n_pairs = d_head / 2;
  TANDEM_ASSERT(row.size() % d_head == 0, "rows are whole heads");
  TANDEM_ASSERT(position < table.n_positions(), "the table was grown to the longest sequence");
  const float* cosine = table.cosines(position).data();
  const float* sine = table.sines(position).data();
  for (float* low = row.data(); low < row.data() + row.size(); low += d_head) {
    simd().turn_pairs(low, low + n_pairs, cosine, sine, n_pairs);
  }
}

}  // namespace tandem::engine
