// The small operations between the matrix products: each value on its own.

#pragma once

#include <span>

#include "worker/engine/tensor/view.h"
#include "worker/engine/tokens.h"

namespace tandem::engine {

// gate[i] = silu(gate[i]) * up[i], with silu(x) = x / (1 + exp(-x)). Sizes are equal, or it is a bug and
// aborts.
void silu_gate(std::span<float> gate, std::span<const float> up);

// x[i] += y[i]. Sizes are equal, or it is a bug and aborts.
void add(std::span<float> x, std::span<const float> y);

// Makes `scores` a distribution: exp(score - largest), divided by the sum (kept in double). No score may be
// NaN; an empty span stays empty.
void softmax(std::span<float> scores);

// out[t] = table[tokens[t]].
//
//   table  [n_vocab, d_model]
//   out    [n_tokens, d_model]
//
// A token outside the table is a bug and aborts.
void embed(ConstMatrix table, std::span<const TokenId> tokens, Matrix out);

}  // namespace tandem::engine
