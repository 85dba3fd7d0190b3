// Activations times weights: nearly all of the time goes here.

#pragma once

#include <initializer_list>
#include <span>

#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/tensor/view.h"

namespace tandem::engine {

// One product of a matmul() call; several may share their input.
struct MatmulPart {
  ConstMatrix weights;          // [d_out, d_in], as checkpoints store them
  std::span<const float> bias;  // [d_out], or empty
  Matrix out;                   // [n_tokens, d_out]
};

// For each part: out[t, o] = bias[o] + sum_i x[t, i] * weights[o, i]
//
//   x  [n_tokens, d_in]   not the memory of any out
//
// Each thread takes a slice of every part's outputs, so a call is one meeting of the threads however many
// parts it has. Sums are in float, in OpenBLAS's order: compare within 1e-5 of the summed magnitudes. Cannot
// fail; mismatched shapes are a bug and abort.
void matmul(ThreadPool& pool, ConstMatrix x, std::initializer_list<MatmulPart> parts);

}  // namespace tandem::engine
