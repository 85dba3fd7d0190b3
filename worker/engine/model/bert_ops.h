// The operations of a BERT encoder besides its matrix products. Each works on rows (tokens) or heads that do
// not know of each other, so the result of one never depends on what else is in the batch.

#pragma once

#include <span>

#include "worker/engine/tensor/view.h"

namespace tandem::engine {

// Normalises each row of `x`, in place:
//
//   x[t, i] = (x[t, i] - mean(x[t])) / sqrt(variance(x[t]) + epsilon) * gain[i] + bias[i]
//
//   x            [n_tokens, d_model]
//   gain, bias   [d_model]
//
// Mean and variance are summed in double.
void layer_norm(Matrix x, std::span<const float> gain, std::span<const float> bias, double epsilon);

// x = x * (1 + erf(x / sqrt(2))) / 2, the exact GELU and not its tanh form; erf within 4e-7.
void gelu(std::span<float> x);

// One head of one text: every token looks at every token.
//
//   q, k, v  [n_tokens, in_stride], out [n_tokens, out_stride]; each points at the head's d_head columns
//   scratch  at least n_tokens * (d_head + 1) floats
//   out[t] = sum_s softmax_s(q[t] . k[s] / sqrt(d_head)) * v[s]
struct HeadView {
  const float *q, *k, *v;
  float* out;
  size_t n_tokens, in_stride, out_stride, d_head;
};
void attend_to_all(const HeadView& head, std::span<float> scratch);

// The mean of the rows of x [n_tokens, d_model], summed in double, into mean [d_model].
void mean_of_rows(ConstMatrix x, std::span<float> mean);

// Scales x to length 1; a vector of zeros stays one (length below 1e-12, as the reference has it).
void scale_to_unit(std::span<float> x);

}  // namespace tandem::engine
