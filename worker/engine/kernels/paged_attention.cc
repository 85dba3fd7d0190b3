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

// A group of pieces with all heads that share one head of keys and values. Rows of a tile: for each piece its
// tokens, for each token its heads.
struct Tile {
  std::span<const AttentionPiece> pieces;
  size_t n_tokens = 0, n_shared = 0;
  size_t layer = 0, kv_head = 0, n_sharing = 1;
  const float* q = nullptr;  // of the batch's first row, at the first sharing head
  size_t q_stride = 0;
  float* out = nullptr;  // the same
  size_t out_stride = 0;

  size_t n_rows() const { return n_tokens * n_sharing; }
  size_t n_blocks() const {
    size_t most = 0;
    for (const AttentionPiece& piece : pieces) most = std::max(most, piece.n_blocks());
    return most;
  }
};

class TileAttention {
 public:
  TileAttention(KvCache& cache, const Tile& tile, AttentionScratch::OfThread& scratch)
      : cache_(cache), shape_(cache.shape()), tile_(tile), scratch_(scratch), n_rows_(tile.n_rows()) {}

  void run() {
    gather_q();
    score();
    softmax();
    weigh_values();
  }

 private:
  // Rows that are multiplied with a head of one block of keys or values.
  struct Product {
    size_t b = 0;  // which block of the sequence
    uint32_t block = 0;
    size_t n_tokens = 0;  // that it holds: slots behind the last position are never read
    size_t first_row = 0, n_rows = 0;
  };

  template <typename OnProduct>
  void for_products(const OnProduct& on_product) {
    for (size_t b = 0; b < tile_.n_shared; ++b) {
      on_product(Product{b, tile_.pieces[0].blocks[b], kBlockTokens, 0, n_rows_});
    }
    size_t row = 0;
    for (const AttentionPiece& piece : tile_.pieces) {
      const size_t n = piece.n_rows * tile_.n_sharing;
      for (size_t b = tile_.n_shared; b < piece.n_blocks(); ++b) {
        on_product(Product{b, piece.blocks[b], std::min(kBlockTokens, piece.n_positions() - b * kBlockTokens),
                           row, n});
      }
      row += n;
    }
  }

  // on_row(row, piece, token of the piece, head)
  template <typename OnRow>
  void for_rows(const OnRow& on_row) {
    size_t row = 0;
    for (const AttentionPiece& piece : tile_.pieces) {
      for (size_t token = 0; token < piece.n_rows; ++token) {
        for (size_t head = 0; head < tile_.n_sharing; ++head) on_row(row++, piece, token, head);
      }
    }
  }

  bool as_floats(size_t n_rows) const {
    return shape_.type == KvType::kF32 || n_rows > simd().float_rows_max;
  }
  // A head of one block as the tiles take it. Widening f16 once pays when several tiles use it.
  const std::byte* as_tiles_take_it(const std::byte* stored, size_t n, size_t n_rows) {
    if (shape_.type == KvType::kF32 || !as_floats(n_rows)) return stored;
    float* const wide = grown(scratch_.wide, n);
    simd().widen_f16(reinterpret_cast<const uint16_t*>(stored), n, wide);
    return reinterpret_cast<const std::byte*>(wide);
  }

  // [blocks of 128 dimensions][n_rows][128]
  void gather_q() {
    const size_t d_head = shape_.d_head;
    n_q_blocks_ = (d_head + kBlockInputs - 1) / kBlockInputs;
    float* const q = grown(scratch_.q, n_q_blocks_ * n_rows_ * kBlockInputs);
    for_rows([&](size_t row, const AttentionPiece& piece, size_t token, size_t head) {
      const float* const from = tile_.q + (piece.first_row + token) * tile_.q_stride + head * d_head;
      for (size_t b = 0; b < n_q_blocks_; ++b) {
        const size_t n = std::min(kBlockInputs, d_head - b * kBlockInputs);
        std::copy_n(from + b * kBlockInputs, n, q + (b * n_rows_ + row) * kBlockInputs);
      }
    });
  }

  // [n_blocks][n_rows][32]
  float* scores(size_t b, size_t row) { return scratch_.scores.data() + (b * n_rows_ + row) * kBlockTokens; }

  void score() {
    grown(scratch_.scores, tile_.n_blocks() * n_rows_ * kBlockTokens);
    for_products([&](const Product& p) {
      const std::byte* const keys = as_tiles_take_it(cache_.keys(p.block, tile_.layer, tile_.kv_head),
                                                     shape_.d_head * kBlockTokens, p.n_rows);
      const size_t value_bytes = as_floats(p.n_rows) ? sizeof(float) : sizeof(uint16_t);
      const auto tile = as_floats(p.n_rows) ? simd().f32 : simd().f16;
      for (size_t i = 0; i < n_q_blocks_; ++i) {
        const size_t n_inputs = std::min(kBlockInputs, shape_.d_head - i * kBlockInputs);
        tile(p.n_rows, n_inputs, scratch_.q.data() + (i * n_rows_ + p.first_row) * kBlockInputs,
             keys + i * kBlockInputs * kBlockTokens * value_bytes, scores(p.b, p.first_row), i == 0, {});
      }
    });
  }

  // Leaves exp(score - largest) for what a row may see, zeros behind it, and the sum of each row.
  void softmax() {
    const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape_.d_head)));
    float* const totals = grown(scratch_.sums, n_rows_);
    for_rows([&](size_t row, const AttentionPiece& piece, size_t token, size_t) {
      const size_t n_seen = piece.first_position + token + 1;
      const auto n_seen_in = [&](size_t b) {
        return n_seen > b * kBlockTokens ? std::min(kBlockTokens, n_seen - b * kBlockTokens) : 0;
      };
      float largest = scores(0, row)[0];
      for (size_t b = 0; b * kBlockTokens < n_seen; ++b) {
        largest = std::max(largest, simd().largest_of(scores(b, row), n_seen_in(b)));
      }
      float sums[kBlockTokens] = {};
      for (size_t b = 0; b < piece.n_blocks(); ++b) {
        simd().exp_block(scores(b, row), n_seen_in(b), scale, largest * scale, sums);
      }
      totals[row] = sum_of_32(sums);
    });
  }

  void weigh_values() {
    const size_t n_panels = shape_.n_panels();
    float* const sums = grown(scratch_.out, n_panels * n_rows_ * kPanelOutputs);
    for_products([&](const Product& p) {
      const std::byte* const values = as_tiles_take_it(cache_.values(p.block, tile_.layer, tile_.kv_head),
                                                       n_panels * kBlockFloats, p.n_rows);
      const size_t value_bytes = as_floats(p.n_rows) ? sizeof(float) : sizeof(uint16_t);
      const auto tile = as_floats(p.n_rows) ? simd().f32_narrow : simd().f16_narrow;
      for (size_t panel = 0; panel < n_panels; ++panel) {
        tile(p.n_rows, p.n_tokens, scores(p.b, p.first_row), values + panel * kBlockFloats * value_bytes,
             sums + (panel * n_rows_ + p.first_row) * kPanelOutputs, p.b == 0, {});
      }
    });
    for_rows([&](size_t row, const AttentionPiece& piece, size_t token, size_t head) {
      float* const to = tile_.out + (piece.first_out + token) * tile_.out_stride + head * shape_.d_head;
      const float scale = 1.0f / scratch_.sums[row];
      for (size_t first = 0; first < shape_.d_head; first += kPanelOutputs) {
        const float* const from = sums + (first / kPanelOutputs * n_rows_ + row) * kPanelOutputs;
        const size_t n = std::min(kPanelOutputs, shape_.d_head - first);
        for (size_t i = 0; i < n; ++i) to[first + i] = from[i] * scale;
      }
    });
  }

  KvCache& cache_;
  const KvShape& shape_;
  const Tile& tile_;
  AttentionScratch::OfThread& scratch_;
  const size_t n_rows_;
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

size_t attention_rows_max(size_t n_sharing) {
  const size_t n_rows = simd().float_rows_max * std::max<size_t>(1, 32 / simd().float_rows_max);
  return std::max<size_t>(1, n_rows / n_sharing);
}

void paged_attention(ThreadPool& pool, KvCache& cache, size_t layer, const AttentionPlan& plan,
                     const float* q, size_t q_stride, Matrix out, AttentionScratch& scratch) {
  const size_t d_head = cache.shape().d_head, n_kv_heads = cache.shape().n_kv_heads;
  const size_t n_heads = out.n_columns / d_head, n_sharing = n_heads / n_kv_heads;
  TANDEM_ASSERT(out.n_columns == n_heads * d_head && n_heads == n_sharing * n_kv_heads,
                "heads share kv heads");
  scratch.threads.resize(pool.n_threads());
  pool.run(plan.groups().size() * n_kv_heads, [&](size_t i, size_t thread) {
    const AttentionPlan::Group& group = plan.groups()[i / n_kv_heads];
    const size_t kv_head = i % n_kv_heads, column = kv_head * n_sharing * d_head;
    const Tile tile = {plan.pieces(group), group.n_rows, group.n_shared,    layer,        kv_head, n_sharing,
                       q + column,         q_stride,     out.data + column, out.n_columns};
    TileAttention(cache, tile, scratch.threads[thread]).run();
  });
}

}  // namespace tandem::engine
