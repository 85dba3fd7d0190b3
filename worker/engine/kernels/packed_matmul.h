// Activations times packed weights: nearly all of the time goes here.

#pragma once

#include <span>

#include "worker/engine/kernels/matmul_input.h"
#include "worker/engine/kernels/packed_matrix.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/tensor/view.h"

namespace tandem::engine {

// Threads take panels of outputs; each output is summed by one thread in the order that simd.h states, so a
// row's bits depend on nothing but the row and the weights. `x` has the type and the inputs of `weights`;
// mismatched shapes are a bug and abort. Nothing here can fail.

// out[t, o] = sum_i x[t, i] * weights[o, i] + bias[o]
//
//   bias  [n_outputs], or empty
//   out   [n_rows, n_outputs]
void multiply(ThreadPool& pool, const MatmulInput& x, const PackedMatrix& weights,
              std::span<const float> bias, Matrix out);

// out[t, o] += sum_i x[t, i] * weights[o, i]
void multiply_add(ThreadPool& pool, const MatmulInput& x, const PackedMatrix& weights, Matrix out);

// out[t, o] = silu(gate[t, o]) * up[t, o], where panels 2 i of `gate_up` are panels i of gate, and panels 2 i
// + 1 those of up. Shapes `out` and sets all of its rows: the input of the product that follows.
void multiply_silu_gate(ThreadPool& pool, const MatmulInput& x, const PackedMatrix& gate_up, size_t n_outputs,
                        MatmulInput& out);

}  // namespace tandem::engine
