#include "worker/engine/kernels/paged_attention.h"

#include <algorithm>
#include <cmath>

#include "shared/base/assert.h"
#include "worker/engine/kernels/blas.h"
#include "worker/engine/kernels/elementwise.h"

namespace tandem::engine {
namespace {

constexpr size_t kTileRows = 32;

struct Tile {
  std::span<const uint32_t> blocks;
  size_t first_position = 0;  // of its first row
  size_t n_rows = 0;
  const float* q = nullptr;  // [n_rows, d_head], rows `stride` apart; the same for out
  float* out = nullptr;
  size_t stride = 0;
};

// Scores of all rows against whole blocks, then the causal cut in the softmax: a row sees positions up to its
// own.
void attend(KvCache& cache, size_t layer, size_t kv_head, const Tile& tile, std::vector<float>& scores) {
  const size_t d_head = cache.shape().d_head;
  const size_t n_positions = tile.first_position + tile.n_rows;
  const size_t n_blocks = (n_positions + kBlockTokens - 1) / kBlockTokens;
  const size_t width = n_blocks * kBlockTokens;
  if (scores.size() < tile.n_rows * width) scores.resize(tile.n_rows * width);

  const auto n_in_block = [&](size_t b) { return std::min(kBlockTokens, n_positions - b * kBlockTokens); };
  for (size_t b = 0; b < n_blocks; ++b) {
    blas_multiply_transposed({tile.q, tile.stride}, {cache.keys(tile.blocks[b], layer, kv_head), d_head},
                             tile.n_rows, n_in_block(b), d_head, false, scores.data() + b * kBlockTokens,
                             width);
  }
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d_head)));
  for (size_t i = 0; i < tile.n_rows; ++i) {
    const std::span<float> row(scores.data() + i * width, n_positions);
    const std::span<float> seen = row.first(tile.first_position + i + 1);
    for (float& score : seen) score *= scale;
    softmax(seen);
    std::fill(row.begin() + static_cast<ptrdiff_t>(seen.size()), row.end(), 0.0f);
  }
  for (size_t b = 0; b < n_blocks; ++b) {
    blas_multiply({scores.data() + b * kBlockTokens, width},
                  {cache.values(tile.blocks[b], layer, kv_head), d_head}, tile.n_rows, d_head, n_in_block(b),
                  b > 0, tile.out, tile.stride);
  }
}

}  // namespace

void store_keys_values(KvCache& cache, size_t layer, const AttentionPiece& piece, size_t begin, size_t end,
                       ConstMatrix k, ConstMatrix v) {
  const size_t d_head = cache.shape().d_head;
  for (size_t t = std::max(begin, piece.first_row); t < std::min(end, piece.first_row + piece.n_rows); ++t) {
    const size_t position = piece.first_position + t - piece.first_row;
    const uint32_t block = piece.blocks[position / kBlockTokens];
    const size_t slot = position % kBlockTokens;
    for (size_t head = 0; head < cache.shape().n_kv_heads; ++head) {
      const std::span<const float> key = k.row(t).subspan(head * d_head, d_head);
      const std::span<const float> value = v.row(t).subspan(head * d_head, d_head);
      std::copy(key.begin(), key.end(), cache.keys(block, layer, head) + slot * d_head);
      std::copy(value.begin(), value.end(), cache.values(block, layer, head) + slot * d_head);
    }
  }
}

void paged_attention(ThreadPool& pool, KvCache& cache, size_t layer, std::span<const AttentionPiece> pieces,
                     ConstMatrix q, Matrix out, AttentionScratch& scratch) {
  const size_t d_head = cache.shape().d_head;
  const size_t n_heads = q.n_columns / d_head;
  TANDEM_ASSERT(q.n_columns == n_heads * d_head && n_heads % cache.shape().n_kv_heads == 0,
                "heads share kv heads");
  TANDEM_ASSERT(out.n_rows == q.n_rows && out.n_columns == q.n_columns, "out has the shape of q");
  const size_t n_sharing = n_heads / cache.shape().n_kv_heads;

  scratch.items.clear();
  scratch.scores.resize(pool.n_threads());
  for (size_t i = 0; i < pieces.size(); ++i) {
    TANDEM_ASSERT(pieces[i].first_position + pieces[i].n_rows <= pieces[i].blocks.size() * kBlockTokens,
                  "the sequence has room for its rows");
    for (size_t row = 0; row < pieces[i].n_rows; row += kTileRows) {
      for (size_t head = 0; head < n_heads; ++head) {
        scratch.items.push_back({static_cast<uint32_t>(i), static_cast<uint32_t>(head),
                                 static_cast<uint32_t>(row),
                                 static_cast<uint32_t>(std::min(kTileRows, pieces[i].n_rows - row))});
      }
    }
  }
  pool.run(scratch.items.size(), [&](size_t i, size_t thread) {
    const AttentionScratch::Item& item = scratch.items[i];
    const AttentionPiece& piece = pieces[item.piece];
    const size_t offset = (piece.first_row + item.first_row) * q.n_columns + item.head * d_head;
    attend(cache, layer, item.head / n_sharing,
           {piece.blocks, piece.first_position + item.first_row, item.n_rows, q.data + offset,
            out.data + offset, q.n_columns},
           scratch.scores[thread]);
  });
}

}  // namespace tandem::engine
