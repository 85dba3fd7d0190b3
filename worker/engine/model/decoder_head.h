// From the last hidden states to the logits that somebody wants.

#pragma once

#include <map>
#include <span>
#include <vector>

#include "worker/engine/kernels/matmul_input.h"
#include "worker/engine/kernels/packed_matrix.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/model/model.h"
#include "worker/engine/tensor/float_buffer.h"

namespace tandem::engine {

// Rows that want all of the vocabulary go through the whole matrix; those that want a few tokens through a
// small one with the same weights, made once for each list of tokens. Belongs to the inference thread.
class DecoderHead {
 public:
  // normed: one row for each wanted token of the batch, in its order.
  void run(ThreadPool& pool, const PackedMatrix& weights, std::span<const BatchRow> batch, ConstMatrix normed,
           Logits& logits);

 private:
  struct Subset {
    FloatBuffer memory;
    PackedMatrix weights;
    uint64_t used = 0;
  };
  const PackedMatrix& subset(const PackedMatrix& weights, std::span<const TokenId> tokens);
  void multiply_rows(ThreadPool& pool, const PackedMatrix& weights, ConstMatrix normed,
                     std::span<const uint32_t> rows, Matrix out);

  static constexpr size_t kSubsetsMax =
      64;  // label tasks of a worker; more are made again each time they come
  std::map<std::vector<TokenId>, Subset> subsets_;
  uint64_t n_uses_ = 0;
  MatmulInput input_;
};

}  // namespace tandem::engine
