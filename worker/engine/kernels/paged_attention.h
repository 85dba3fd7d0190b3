// Attention over keys and values that lie in blocks of the KV cache.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/kv/kv_cache.h"
#include "worker/engine/tensor/view.h"

namespace tandem::engine {

// The rows of a batch that belong to one sequence: rows [first_row, first_row + n_rows) of q, k, v and out
// are its tokens at positions first_position and following.
struct AttentionPiece {
  std::span<const uint32_t> blocks;  // of the sequence; they have room for all of these positions
  size_t first_position = 0;
  size_t first_row = 0;
  size_t n_rows = 0;
};

// Copies keys and values of the rows [begin, end) of one piece to their places in the blocks.
//
//   k, v  [n_tokens, n_kv_heads * d_head]
void store_keys_values(KvCache& cache, size_t layer, const AttentionPiece& piece, size_t begin, size_t end,
                       ConstMatrix k, ConstMatrix v);

// Memory that lasts from call to call, so that a step allocates nothing. One per model.
struct AttentionScratch {
  struct Item {
    uint32_t piece = 0, head = 0, first_row = 0, n_rows = 0;
  };
  std::vector<Item> items;
  std::vector<std::vector<float>> scores;  // one for each thread
};

// For each row t of a piece, at position p, and each head h with keys and values of head h * n_kv_heads /
// n_heads:
//
//   out[t, h] = sum_{j <= p} softmax_j(q[t, h] . key[j] / sqrt(d_head)) * value[j]
//
//   q, out  [n_tokens, n_heads * d_head]   not the same memory
//
// Keys and values of the rows themselves must be stored already. Work is split by piece, head and 32 rows.
// The scores of a whole context are held at once: 32 * (positions) floats for each thread. Cannot fail.
void paged_attention(ThreadPool& pool, KvCache& cache, size_t layer, std::span<const AttentionPiece> pieces,
                     ConstMatrix q, Matrix out, AttentionScratch& scratch);

}  // namespace tandem::engine
