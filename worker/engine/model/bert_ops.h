// The operations of a BERT encoder besides its matrix products. Each works on rows (tokens) or heads that do
// not know of each other, so the result of one never depends on what else is in the batch.

#pragma once

#include <span>

#include "worker/engine/tensor/view.h"

namespace tandem::engine {

// Adds `residual` to each row of `x` and normalises it, in place:
//
//   y = x + residual;  x[t, i] = (y[t, i] - mean(y[t])) / sqrt(variance(y[t]) + epsilon) * gain[i] + bias[i]
//
//   x, residual  [n_tokens, d_model]   `residual` may have no data: then nothing is added
//   gain, bias   [d_model]
//
// Mean and variance are summed in double.
void layer_norm(Matrix x, ConstMatrix residual, std::span<const float> gain, std::span<const float> bias,
                double epsilon);

// x = x * (1 + erf(x / sqrt(2))) / 2, the exact GELU and not its tanh form; erf within 4e-7.
void gelu(std::span<float> x);

// One head of one text: every token looks at every token.
//
//   q, k, v, out  [n_tokens, stride]; the head's d_head columns begin at `data`
//   scratch       at least n_tokens * (d_head + 1) floats
//   out[t] = sum_s softmax_s(q[t] . k[s] / sqrt(d_head)) * v[s]
struct HeadView {
  const float *q, *k, *v;
  float* out;
  size_t n_tokens, stride, d_head;
};
void attend_to_all(const HeadView& head, std::span<float> scratch);

// The mean of the rows of x [n_tokens, d_model], summed in double, into mean [d_model].
void mean_of_rows(ConstMatrix x, std::span<float> mean);

// Scales x to length 1; a vector of zeros stays one (length below 1e-12, as the reference has it).
void scale_to_unit(std::span<float> x);

}  // namespace tandem::engine
