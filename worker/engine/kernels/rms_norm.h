// Root-mean-square normalisation, the first operation of every decoder block.

#pragma once

#include <span>

#include "worker/engine/tensor/view.h"

namespace tandem::engine {

// Scales each row of `x` to unit root mean square, then by `gain`:
//
//   out[t, i] = x[t, i] * gain[i] / sqrt(mean_i(x[t, i]^2) + epsilon)
//
//   x, out  [n_tokens, d_model]   may be the same memory
//   gain    [d_model]
//
// The squares are summed in eight parts, so the last bits differ from a serial
// sum: compare within 1e-5. Cannot fail; mismatched shapes are a bug and abort.
void rms_norm(ConstMatrix x, std::span<const float> gain, float epsilon, Matrix out);

}  // namespace tandem::engine
