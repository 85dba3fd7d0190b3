#include "worker/engine/kernels/paged_attention.h"

#include <algorithm>
#include <cmath>

#include "shared/base/assert.h"
#include "worker/engine/kernels/grown.h"
#include "worker/engine/kernels/simd.h"

namespace tandem::engine {
namespace {

static_assert(kBlockTokens == kPanelOutputs, "a block of keys is a panel of weights");

constexpr size_t kBlockFloats = kBlockTokens * kPanelOutputs;

float sum_of_32(const float* sums) {
  float s[16];
  for (size_t i = 0; i < 16; ++i) s[i] = sums[i] + sums[i + 16];
  for (size_t n = 8; n > 0; n /= 2) {
    for (size_t i = 0; i < n; ++i) s[i] += s[i + n];
  }
  return s[0];
}

// Tokens of one sequence that are worked on together, with all heads that share one head of keys and values.
struct Tile {
  std::span<const uint32_t> blocks;
  size_t first_position = 0, n_tokens = 0;
  size_t layer = 0, kv_head = 0, n_sharing = 1;
  const float* q = nullptr;  // of the first token's first sharing head
  size_t q_stride = 0;
  float* out = nullptr;
  size_t out_stride = 0;

  // Rows of the tile: for each token its heads.
  size_t n_rows() const { return n_tokens * n_sharing; }
  size_t n_seen(size_t row) const { return first_position + row / n_sharing + 1; }
  size_t n_positions() const { return first_position + n_tokens; }
  size_t n_blocks() const { return (n_positions() + kBlockTokens - 1) / kBlockTokens; }
};

class TileAttention {
 public:
  TileAttention(KvCache& cache, const Tile& tile, AttentionScratch::OfThread& scratch)
      : cache_(cache),
        shape_(cache.shape()),
        tile_(tile),
        scratch_(scratch),
        n_rows_(tile.n_rows()),
        value_bytes_(shape_.type == KvType::kF32 || n_rows_ > simd().float_rows_max ? sizeof(float)
                                                                                    : sizeof(uint16_t)) {}

  void run() {
    gather_q();
    score();
    softmax();
    weigh_values();
  }

 private:
  // A head of one block as the tiles take it. Widening f16 once pays when several tiles use it.
  const std::byte* as_tiles_take_it(const std::byte* stored, size_t n) {
    if (value_bytes_ == sizeof(float) && shape_.type == KvType::kF16) {
      float* const wide = grown(scratch_.wide, n);
      simd().widen_f16(reinterpret_cast<const uint16_t*>(stored), n, wide);
      return reinterpret_cast<const std::byte*>(wide);
    }
    return stored;
  }

  // [blocks of 128 dimensions][n_rows][128]
  void gather_q() {
    const size_t d_head = shape_.d_head;
    n_q_blocks_ = (d_head + kBlockInputs - 1) / kBlockInputs;
    float* const q = grown(scratch_.q, n_q_blocks_ * n_rows_ * kBlockInputs);
    for (size_t row = 0; row < n_rows_; ++row) {
      const float* from = tile_.q + row / tile_.n_sharing * tile_.q_stride + row % tile_.n_sharing * d_head;
      for (size_t b = 0; b < n_q_blocks_; ++b) {
        const size_t n = std::min(kBlockInputs, d_head - b * kBlockInputs);
        std::copy_n(from + b * kBlockInputs, n, q + (b * n_rows_ + row) * kBlockInputs);
      }
    }
  }

  // [n_blocks][n_rows][32]
  void score() {
    float* scores = grown(scratch_.scores, tile_.n_blocks() * n_rows_ * kBlockTokens);
    for (size_t b = 0; b < tile_.n_blocks(); ++b, scores += n_rows_ * kBlockTokens) {
      const std::byte* keys = as_tiles_take_it(cache_.keys(tile_.blocks[b], tile_.layer, tile_.kv_head),
                                               shape_.d_head * kBlockTokens);
      for (size_t i = 0; i < n_q_blocks_; ++i) {
        const size_t n_inputs = std::min(kBlockInputs, shape_.d_head - i * kBlockInputs);
        const auto tile = value_bytes_ == sizeof(float) ? simd().f32 : simd().f16;
        tile(n_rows_, n_inputs, scratch_.q.data() + i * n_rows_ * kBlockInputs,
             keys + i * kBlockInputs * kBlockTokens * value_bytes_, scores, i == 0, {});
      }
    }
  }

  // Leaves exp(score - largest) for what a row may see, zeros behind it, and the sum of each row.
  void softmax() {
    const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape_.d_head)));
    float* const totals = grown(scratch_.sums, n_rows_);
    for (size_t row = 0; row < n_rows_; ++row) {
      const size_t n_seen = tile_.n_seen(row);
      const auto n_seen_in = [&](size_t b) {
        return n_seen > b * kBlockTokens ? std::min(kBlockTokens, n_seen - b * kBlockTokens) : 0;
      };
      const auto of_block = [&](size_t b) {
        return scratch_.scores.data() + (b * n_rows_ + row) * kBlockTokens;
      };
      float largest = of_block(0)[0];
      for (size_t b = 0; b * kBlockTokens < n_seen; ++b) {
        largest = std::max(largest, simd().largest_of(of_block(b), n_seen_in(b)));
      }
      float sums[kBlockTokens] = {};
      for (size_t b = 0; b < tile_.n_blocks(); ++b) {
        simd().exp_block(of_block(b), n_seen_in(b), scale, largest * scale, sums);
      }
      totals[row] = sum_of_32(sums);
    }
  }

  void weigh_values() {
    const size_t n_panels = shape_.n_panels();
    float* const out = grown(scratch_.out, n_panels * n_rows_ * kPanelOutputs);
    for (size_t b = 0; b < tile_.n_blocks(); ++b) {
      // Slots behind the last position hold what was there before: never read.
      const size_t n_tokens = std::min(kBlockTokens, tile_.n_positions() - b * kBlockTokens);
      const std::byte* values = as_tiles_take_it(cache_.values(tile_.blocks[b], tile_.layer, tile_.kv_head),
                                                 n_panels * kBlockFloats);
      for (size_t panel = 0; panel < n_panels; ++panel) {
        const auto tile = value_bytes_ == sizeof(float) ? simd().f32_narrow : simd().f16_narrow;
        tile(n_rows_, n_tokens, scratch_.scores.data() + b * n_rows_ * kBlockTokens,
             values + panel * kBlockFloats * value_bytes_, out + panel * n_rows_ * kPanelOutputs, b == 0, {});
      }
    }
    for (size_t row = 0; row < n_rows_; ++row) {
      float* to =
          tile_.out + row / tile_.n_sharing * tile_.out_stride + row % tile_.n_sharing * shape_.d_head;
      const float scale = 1.0f / scratch_.sums[row];
      for (size_t i = 0; i < shape_.d_head; ++i) {
        const size_t panel = i / kPanelOutputs;
        to[i] = out[(panel * n_rows_ + row) * kPanelOutputs + i % kPanelOutputs] * scale;
      }
    }
  }

  KvCache& cache_;
  const KvShape& shape_;
  const Tile& tile_;
  AttentionScratch::OfThread& scratch_;
  const size_t n_rows_;
  const size_t value_bytes_;  // of what the tiles read
  size_t n_q_blocks_ = 0;
};

// Puts values into `to` from `first` on, `step` places apart.
template <typename T>
void scatter(const T* values, size_t n, T* to, size_t step) {
  for (size_t i = 0; i < n; ++i) to[i * step] = values[i];
}

template <typename T>
void store_head(const T* key, const T* value, size_t d_head, size_t slot, std::byte* keys,
                std::byte* values) {
  scatter(key, d_head, reinterpret_cast<T*>(keys) + slot, kBlockTokens);
  for (size_t i = 0; i < d_head; i += kPanelOutputs) {
    std::copy_n(value + i, std::min(kPanelOutputs, d_head - i),
                reinterpret_cast<T*>(values) + i * kBlockTokens + slot * kPanelOutputs);
  }
}

}  // namespace

void store_keys_values(KvCache& cache, size_t layer, std::span<const uint32_t> blocks, size_t position,
                       std::span<const float> keys, std::span<const float> values) {
  const size_t d_head = cache.shape().d_head, slot = position % kBlockTokens;
  const uint32_t block = blocks[position / kBlockTokens];
  for (size_t head = 0; head < cache.shape().n_kv_heads; ++head) {
    const float* const key = keys.data() + head * d_head;
    const float* const value = values.data() + head * d_head;
    std::byte* const to_keys = cache.keys(block, layer, head);
    std::byte* const to_values = cache.values(block, layer, head);
    if (cache.shape().type == KvType::kF32) {
      store_head(key, value, d_head, slot, to_keys, to_values);
      continue;
    }
    constexpr size_t kAtOnce = 32;  // panel by panel, through memory that is there in any case
    for (size_t i = 0; i < d_head; i += kAtOnce) {
      const size_t n = std::min(kAtOnce, d_head - i);
      float piece[2][kAtOnce] = {};
      std::copy_n(key + i, n, piece[0]);
      std::copy_n(value + i, n, piece[1]);
      uint16_t half[2][kAtOnce];
      simd().narrow_f16(piece[0], 2 * kAtOnce, half[0]);
      store_head(half[0], half[1], n, slot, to_keys + i * kBlockTokens * sizeof(uint16_t),
                 to_values + i * kBlockTokens * sizeof(uint16_t));
    }
  }
}

void paged_attention(ThreadPool& pool, KvCache& cache, size_t layer, std::span<const AttentionPiece> pieces,
                     const float* q, size_t q_stride, Matrix out, AttentionScratch& scratch) {
  const size_t d_head = cache.shape().d_head, n_kv_heads = cache.shape().n_kv_heads;
  const size_t n_heads = out.n_columns / d_head, n_sharing = n_heads / n_kv_heads;
  TANDEM_ASSERT(out.n_columns == n_heads * d_head && n_heads == n_sharing * n_kv_heads,
                "heads share kv heads");
  // Whole tiles of the kernel, and enough of them for a block of f16 to be widened seldom.
  const size_t n_rows_max = simd().float_rows_max * std::max<size_t>(1, 32 / simd().float_rows_max);
  const size_t n_tokens_max = std::max<size_t>(1, n_rows_max / n_sharing);

  scratch.items.clear();
  scratch.threads.resize(pool.n_threads());
  for (size_t i = 0; i < pieces.size(); ++i) {
    TANDEM_ASSERT(pieces[i].first_position + pieces[i].n_rows <= pieces[i].blocks.size() * kBlockTokens,
                  "the sequence has room for its rows");
    for (size_t row = 0; row < pieces[i].n_rows; row += n_tokens_max) {
      for (size_t head = 0; head < n_kv_heads; ++head) {
        scratch.items.push_back({static_cast<uint32_t>(i), static_cast<uint32_t>(head),
                                 static_cast<uint32_t>(row),
                                 static_cast<uint32_t>(std::min(n_tokens_max, pieces[i].n_rows - row))});
      }
    }
  }
  pool.run(scratch.items.size(), [&](size_t i, size_t thread) {
    const AttentionScratch::Item& item = scratch.items[i];
    const AttentionPiece& piece = pieces[item.piece];
    const size_t column = item.kv_head * n_sharing * d_head;
    const Tile tile = {piece.blocks,
                       piece.first_position + item.first_row,
                       item.n_rows,
                       layer,
                       item.kv_head,
                       n_sharing,
                       q + (piece.first_row + item.first_row) * q_stride + column,
                       q_stride,
                       out.data + (piece.first_out + item.first_row) * out.n_columns + column,
                       out.n_columns};
    TileAttention(cache, tile, scratch.threads[thread]).run();
  });
}

}  // namespace tandem::engine
