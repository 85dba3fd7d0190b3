// The weights of a decoder as float matrices, checked against the config.

#pragma once

#include <memory>
#include <span>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/model/model.h"
#include "worker/engine/tensor/checkpoint.h"
#include "worker/engine/tensor/float_buffer.h"
#include "worker/engine/tensor/view.h"

namespace tandem::engine {

// How one architecture of the Qwen family differs from another.
struct DecoderTraits {
  bool qkv_bias = false;  // Qwen2: the projections to q, k and v have biases
  bool qk_norm = false;   // Qwen3: each head of q and k is normalised before rope
};

// A vector is empty where the architecture has none.
struct LayerWeights {
  std::span<const float> input_norm;              // [d_model]
  ConstMatrix q, k, v;                            // [n_heads or n_kv_heads * d_head, d_model]
  std::span<const float> q_bias, k_bias, v_bias;  // one for each row
  std::span<const float> q_norm, k_norm;          // [d_head]
  ConstMatrix o;                                  // [d_model, n_heads * d_head]
  std::span<const float> post_attention_norm;     // [d_model]
  ConstMatrix gate, up;                           // [d_ff, d_model]
  ConstMatrix down;                               // [d_model, d_ff]
};

// Owns the memory behind its views. Weights stored as f32 are used where the file is mapped; bf16 and f16 are
// widened into memory of our own, once.
struct DecoderWeights {
  ConstMatrix embedding;  // [n_vocab, d_model]
  std::vector<LayerWeights> layers;
  std::span<const float> final_norm;
  ConstMatrix head;  // [n_vocab, d_model]; the embedding when tied, also where a lm_head.weight is stored

  std::unique_ptr<Checkpoint> checkpoint;
  std::vector<FloatBuffer> widened;
};

// kCorrupt when a tensor is missing or has another shape, kUnsupported when it has another type than F32, F16
// or BF16; each with the file, the tensor, what was expected and what was found. Tensors that nobody asks for
// are passed over. kIo when there is no memory.
Result<DecoderWeights> load_decoder_weights(std::unique_ptr<Checkpoint> checkpoint, const ModelConfig& config,
                                            const DecoderTraits& traits, ThreadPool& pool);

}  // namespace tandem::engine
