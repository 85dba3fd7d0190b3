#include "worker/engine/model/bert_ops.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "shared/base/assert.h"

namespace tandem::engine {
namespace {

// erf(x) = x * P(x^2) / Q(x^2) on [-4, 4], from where on it is 1 to the last bit; interpolated at 13
// Chebyshev nodes of x^2, error 3.4e-7 in float. std::erf took as long as a matrix product of a short text,
// and no compiler makes a vector of it.
constexpr float kErfMax = 4.0f;
constexpr float kP[] = {1.128379225730896f,     0.19377925992012024f,    0.05720920488238335f,
                        0.004433280788362026f,  0.00047738381545059383f, 1.0249448678223416e-05f,
                        1.0067723543727425e-08f};
constexpr float kQ[] = {1.0f,
                        0.5050679445266724f,
                        0.11904759705066681f,
                        0.016928816214203835f,
                        0.0015430767089128494f,
                        9.302519902121276e-05f,
                        5.586122142631211e-07f};

float erf_of(float x) {
  x = std::clamp(x, -kErfMax, kErfMax);
  const float s = x * x;
  float p = kP[6], q = kQ[6];
  for (int i = 5; i >= 0; --i) {
    p = p * s + kP[i];
    q = q * s + kQ[i];
  }
  return x * p / q;
}

}  // namespace

void layer_norm(Matrix x, std::span<const float> gain, std::span<const float> bias, double epsilon) {
  const size_t n = x.n_columns;
  for (size_t t = 0; t < x.n_rows; ++t) {
    float* const row = x.data + t * n;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; ++i) sum += row[i];
    const double mean = sum / static_cast<double>(n);
    for (size_t i = 0; i < n; ++i) squares += (row[i] - mean) * (row[i] - mean);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + epsilon);
    for (size_t i = 0; i < n; ++i) {
      row[i] = static_cast<float>((row[i] - mean) * scale) * gain[i] + bias[i];
    }
  }
}

void gelu(std::span<float> x) {
  constexpr float kHalfRoot = 0.70710678118654752f;
  for (float& value : x) value = 0.5f * value * (1.0f + erf_of(value * kHalfRoot));
}

void attend_to_all(const HeadView& head, std::span<float> scratch) {
  const size_t n = head.n_tokens, d = head.d_head;
  TANDEM_DCHECK(scratch.size() >= n * (d + 1), "room for the keys and a row of scores");
  float* const keys = scratch.data();  // [d_head, n_tokens], so that the loop over tokens is the inner one
  float* const scores = keys + n * d;
  for (size_t s = 0; s < n; ++s) {
    for (size_t i = 0; i < d; ++i) keys[i * n + s] = head.k[s * head.in_stride + i];
  }
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  for (size_t t = 0; t < n; ++t) {
    const float* const q = head.q + t * head.in_stride;
    std::fill_n(scores, n, 0.0f);
    for (size_t i = 0; i < d; ++i) {
      const float factor = q[i] * scale;
      const float* const key = keys + i * n;
      for (size_t s = 0; s < n; ++s) scores[s] += factor * key[s];
    }
    const float highest = *std::max_element(scores, scores + n);
    float sum = 0;
    for (size_t s = 0; s < n; ++s) {
      scores[s] = std::exp(scores[s] - highest);
      sum += scores[s];
    }
    float* const out = head.out + t * head.out_stride;
    std::fill_n(out, d, 0.0f);
    for (size_t s = 0; s < n; ++s) {
      const float weight = scores[s] / sum;
      const float* const v = head.v + s * head.in_stride;
      for (size_t i = 0; i < d; ++i) out[i] += weight * v[i];
    }
  }
}

void mean_of_rows(ConstMatrix x, std::span<float> mean) {
  std::vector<double> sum(x.n_columns);
  for (size_t t = 0; t < x.n_rows; ++t) {
    for (size_t i = 0; i < x.n_columns; ++i) sum[i] += x.data[t * x.n_columns + i];
  }
  for (size_t i = 0; i < x.n_columns; ++i) {
    mean[i] = static_cast<float>(sum[i] / static_cast<double>(x.n_rows));
  }
}

void scale_to_unit(std::span<float> x) {
  double squares = 0;
  for (const float value : x) squares += double{value} * value;
  const double scale = 1 / std::max(std::sqrt(squares), 1e-12);
  for (float& value : x) value = static_cast<float>(value * scale);
}

}  // namespace tandem::engine
