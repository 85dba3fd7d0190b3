// The weights of a decoder, packed for the kernels, checked against the config.

#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/kernels/packed_matrix.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/model/model.h"
#include "worker/engine/model/packed_memory.h"
#include "worker/engine/tensor/checkpoint.h"

namespace tandem::engine {

// How one architecture of the Qwen family differs from another.
struct DecoderTraits {
  bool qkv_bias = false;  // Qwen2: the projections to q, k and v have biases
  bool qk_norm = false;   // Qwen3: each head of q and k is normalised before rope
};

// A vector is empty where the architecture has none.
struct LayerWeights {
  std::span<const float> input_norm;           // [d_model]
  PackedMatrix qkv;                            // all heads of q, then of k, then of v
  std::span<const float> qkv_bias;             // one for each of its outputs
  std::span<const float> q_norm, k_norm;       // [d_head]
  PackedMatrix o;                              // n_heads * d_head inputs, d_model outputs
  std::span<const float> post_attention_norm;  // [d_model]
  PackedMatrix gate_up;                        // d_ff gates and d_ff ups, a panel of each in turn
  PackedMatrix down;                           // d_ff inputs, d_model outputs
};

// Owns the memory behind its views.
struct DecoderWeights {
  PackedMatrix embedding;  // an output for each token
  std::vector<LayerWeights> layers;
  std::span<const float> final_norm;
  PackedMatrix head;  // the embedding when tied, also where a lm_head.weight is stored

  PackedMemory memory;
};

// Packs the checkpoint as `type`, or maps what an earlier load of the same model has packed
// (packed_memory.h). `fingerprint` names model and compute type.
//
// kCorrupt when a tensor is missing or has another shape, kUnsupported when it has another type than the
// loader can widen; each with the file, the tensor, what was expected and what was found. Tensors that nobody
// asks for are passed over. kIo when there is no memory.
Result<DecoderWeights> load_decoder_weights(const Checkpoint& checkpoint, const ModelConfig& config,
                                            const DecoderTraits& traits, ComputeType type,
                                            const std::string& fingerprint,
                                            const std::filesystem::path& packed_folder, ThreadPool& pool);

}  // namespace tandem::engine
