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
      totals[row] = simd().softmax(scores(0, row), n_rows_ * kBlockTokens, piece.n_blocks(),
                                   piece.first_position + token + 1, scale);
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

constexpr size_t kNarrowAtOnce = 16;

void as_stored(const float* from, size_t n, float* to) {
  std::copy_n(from, n, to);
}
void as_stored(const float* from, size_t n, uint16_t* to) {
  const size_t n_whole = n / kNarrowAtOnce * kNarrowAtOnce;
  simd().narrow_f16(from, n_whole, to);
  if (n_whole == n) return;
  float rest[kNarrowAtOnce] = {};
  uint16_t stored[kNarrowAtOnce];
  std::copy_n(from + n_whole, n - n_whole, rest);
  simd().narrow_f16(rest, kNarrowAtOnce, stored);
  std::copy_n(stored, n - n_whole, to + n_whole);
}

// Tokens that go into one block: first each row as the cache keeps numbers, read from front to back, then
// head by head. Keys lie with the tokens of a block side by side, values in panels of 32 dimensions.
template <typename T>
void store_in_block(KvCache& cache, size_t layer, uint32_t block, size_t slot, size_t n_tokens,
                    const float* keys, const float* values, size_t stride) {
  const KvShape& shape = cache.shape();
  const size_t width = shape.n_kv_heads * shape.d_head;
  // A line more than the row: rows a power of two apart would push each other out of the cache.
  const size_t row = 2 * width + 64 / sizeof(T);
  thread_local std::vector<T> rows;
  T* const stored = grown(rows, kBlockTokens * row);
  for (size_t t = 0; t < n_tokens; ++t) {
    as_stored(keys + t * stride, width, stored + t * row);
    as_stored(values + t * stride, width, stored + t * row + width);
  }
  for (size_t head = 0; head < shape.n_kv_heads; ++head) {
    const T* const key = stored + head * shape.d_head;
    const T* const value = key + width;
    T* const to_keys = reinterpret_cast<T*>(cache.keys(block, layer, head)) + slot;
    T* const to_values = reinterpret_cast<T*>(cache.values(block, layer, head));
    for (size_t i = 0; i < shape.d_head; ++i) {
      for (size_t t = 0; t < n_tokens; ++t) to_keys[i * kBlockTokens + t] = key[t * row + i];
    }
    for (size_t i = 0; i < shape.d_head; i += kPanelOutputs) {
      const size_t n = std::min(kPanelOutputs, shape.d_head - i);
      for (size_t t = 0; t < n_tokens; ++t) {
        std::copy_n(value + t * row + i, n, to_values + i * kBlockTokens + (slot + t) * kPanelOutputs);
      }
    }
  }
}

}  // namespace

void store_keys_values(KvCache& cache, size_t layer, std::span<const uint32_t> blocks, size_t position,
                       size_t n_tokens, const float* keys, const float* values, size_t stride) {
  const auto store = cache.shape().type == KvType::kF32 ? store_in_block<float> : store_in_block<uint16_t>;
  while (n_tokens > 0) {
    const size_t slot = position % kBlockTokens, n = std::min(n_tokens, kBlockTokens - slot);
    store(cache, layer, blocks[position / kBlockTokens], slot, n, keys, values, stride);
    position += n;
    keys += n * stride;
    values += n * stride;
    n_tokens -= n;
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
