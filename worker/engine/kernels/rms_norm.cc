#include "worker/engine/kernels/rms_norm.h"

#include <cmath>

#include "shared/base/assert.h"

namespace tandem::engine {
namespace {

// Eight running sums: a single one is a chain of dependent adds that the CPU cannot overlap.
float sum_of_squares(std::span<const float> x) {
  float sums[8] = {};
  size_t i = 0;
  for (; i + 8 <= x.size(); i += 8) {
    for (size_t j = 0; j < 8; ++j) sums[j] += x[i + j] * x[i + j];
  }
  for (; i < x.size(); ++i) sums[0] += x[i] * x[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

}  // namespace

void rms_norm(ConstMatrix x, std::span<const float> gain, float epsilon, Matrix out) {
  TANDEM_ASSERT(x.n_columns == gain.size() && x.n_columns == out.n_columns && x.n_rows == out.n_rows,
                "x, gain and out have one width");
  for (size_t t = 0; t < x.n_rows; ++t) {
    const float* in = x.row(t).data();
    float* to = out.row(t).data();
    const float mean = sum_of_squares(x.row(t)) / static_cast<float>(x.n_columns);
    const float scale = 1.0f / std::sqrt(mean + epsilon);
    for (size_t i = 0; i < x.n_columns; ++i) to[i] = in[i] * scale * gain[i];
  }
}

}  // namespace tandem::engine
