#include "worker/engine/kernels/rope.h"

#include <algorithm>
#include <cmath>

#include "shared/base/assert.h"

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

void rope(const RopeTable& table, std::span<const uint32_t> positions, Matrix x) {
  const size_t d_head = table.d_head(), n_pairs = d_head / 2;
  TANDEM_ASSERT(positions.size() == x.n_rows, "one position for each row");
  TANDEM_ASSERT(x.n_columns % d_head == 0, "rows are whole heads");
  for (size_t t = 0; t < x.n_rows; ++t) {
    TANDEM_ASSERT(positions[t] < table.n_positions(), "the table was grown to the longest sequence");
    const float* cosine = table.cosines(positions[t]).data();
    const float* sine = table.sines(positions[t]).data();
    float* row = x.row(t).data();
    for (float* low = row; low < row + x.n_columns; low += d_head) {
      float* high = low + n_pairs;
      for (size_t i = 0; i < n_pairs; ++i) {
        const float a = low[i], b = high[i];
        low[i] = a * cosine[i] - b * sine[i];
        high[i] = b * cosine[i] + a * sine[i];
      }
    }
  }
}

}  // namespace tandem::engine
