// Attention over keys and values that lie in blocks of the KV cache.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/engine/kernels/attention_plan.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/kv/kv_cache.h"
#include "worker/engine/tensor/view.h"

namespace tandem::engine {

// Writes keys and values of tokens that follow each other from `position` on to their places. Many at once
// are cheaper: keys of a block lie with its tokens side by side, so each token alone touches every line.
//
//   keys, values  [n_tokens], each n_kv_heads * d_head, `stride` floats apart
void store_keys_values(KvCache& cache, size_t layer, std::span<const uint32_t> blocks, size_t position,
                       size_t n_tokens, const float* keys, const float* values, size_t stride);

// Memory that lasts from call to call, so that a step allocates nothing. One per model.
struct AttentionScratch {
  struct OfThread {
    std::vector<float> q, scores, sums, wide, out;
  };
  std::vector<OfThread> threads;
};

// Tokens that are worth taking up together where n_sharing heads share one head of keys and values: whole
// tiles of the kernel, and enough of them for a block of f16 to be widened seldom.
size_t attention_rows_max(size_t n_sharing);

// For each row t of a piece of the plan, at position p, and each head h with keys and values of head h *
// n_kv_heads / n_heads:
//
//   out[t, h] = sum_{j <= p} softmax_j(q[t, h] . key[j] / sqrt(d_head)) * value[j]
//
//   q    rows of n_heads * d_head, q_stride floats apart
//   out  [n_out, n_heads * d_head]
//
// Keys and values of the rows themselves must be stored already. Every sum goes over positions in blocks of
// 32, counted from the sequence's first token, so the bits of a row do not depend on the piece it came in.
// The scores of a whole context are held at once: about 30 * (positions) floats for each thread. Cannot fail.
void paged_attention(ThreadPool& pool, KvCache& cache, size_t layer, const AttentionPlan& plan,
                     const float* q, size_t q_stride, Matrix out, AttentionScratch& scratch);

}  // namespace tandem::engine
