#include "worker/engine/kernels/attention_plan.h"

#include <algorithm>
#include <numeric>

#include "shared/base/assert.h"
#include "worker/engine/kv/kv_cache.h"

namespace tandem::engine {
namespace {

// Blocks at the beginning that both have, full before the first row of either.
size_t n_shared_blocks(const AttentionPiece& a, const AttentionPiece& b) {
  const size_t n_full = std::min(a.first_position, b.first_position) / kBlockTokens;
  const auto end = a.blocks.begin() + static_cast<ptrdiff_t>(n_full);
  return static_cast<size_t>(std::mismatch(a.blocks.begin(), end, b.blocks.begin()).first - a.blocks.begin());
}

}  // namespace

size_t AttentionPiece::n_blocks() const {
  return (n_positions() + kBlockTokens - 1) / kBlockTokens;
}

void AttentionPlan::make(std::span<const AttentionPiece> pieces, size_t n_rows_max) {
  pieces_.clear();
  groups_.clear();
  order_.resize(pieces.size());
  std::iota(order_.begin(), order_.end(), 0u);
  // Sequences that share their beginning come to lie side by side.
  std::sort(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) {
    return std::lexicographical_compare(pieces[a].blocks.begin(), pieces[a].blocks.end(),
                                        pieces[b].blocks.begin(), pieces[b].blocks.end());
  });
  for (size_t i = 0; i < order_.size(); ++i) {
    const AttentionPiece& piece = pieces[order_[i]];
    TANDEM_ASSERT(piece.n_positions() <= piece.blocks.size() * kBlockTokens,
                  "the sequence has room for its rows");
    const size_t n_with_next = i + 1 < order_.size() ? n_shared_blocks(piece, pieces[order_[i + 1]]) : 0;
    for (size_t row = 0; row < piece.n_rows; row += n_rows_max) {
      add({piece.blocks, piece.first_position + row, piece.first_row + row,
           std::min(n_rows_max, piece.n_rows - row), piece.first_out + row},
          n_with_next, n_rows_max);
    }
  }
}

void AttentionPlan::add(const AttentionPiece& piece, size_t n_with_next, size_t n_rows_max) {
  if (!groups_.empty() && groups_.back().n_rows + piece.n_rows <= n_rows_max) {
    Group& group = groups_.back();
    const size_t n_shared = n_shared_blocks(pieces_[group.first_piece], piece);
    const size_t n_least = group.n_pieces == 1 ? std::max<size_t>(1, n_with_next) : group.n_shared;
    if (n_shared >= n_least) {
      if (group.n_pieces == 1) group.n_shared = static_cast<uint32_t>(n_shared);
      group.n_pieces += 1;
      group.n_rows += static_cast<uint32_t>(piece.n_rows);
      pieces_.push_back(piece);
      return;
    }
  }
  groups_.push_back({static_cast<uint32_t>(pieces_.size()), 1, static_cast<uint32_t>(piece.n_rows), 0});
  pieces_.push_back(piece);
}

}  // namespace tandem::engine
