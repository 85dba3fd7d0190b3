#include "worker/engine/kernels/elementwise.h"

#include <algorithm>
#include <cmath>

#include "shared/base/assert.h"

namespace tandem::engine {

void silu_gate(std::span<float> gate, std::span<const float> up) {
  TANDEM_ASSERT(gate.size() == up.size(), "gate and up come from the same rows");
  for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void add(std::span<float> x, std::span<const float> y) {
  TANDEM_ASSERT(x.size() == y.size(), "both sides have one value for each place");
  for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

void softmax(std::span<float> scores) {
  if (scores.empty()) return;
  const float largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (float& score : scores) {
    score = std::exp(score - largest);
    sum += score;
  }
  const float scale = static_cast<float>(1.0 / sum);
  for (float& score : scores) score *= scale;
}

void embed(ConstMatrix table, std::span<const TokenId> tokens, Matrix out) {
  TANDEM_ASSERT(out.n_rows == tokens.size() && out.n_columns == table.n_columns, "one row for each token");
  for (size_t t = 0; t < tokens.size(); ++t) {
    TANDEM_ASSERT(tokens[t] >= 0 && static_cast<size_t>(tokens[t]) < table.n_rows,
                  "tokens are of this model");
    const std::span<const float> from = table.row(static_cast<size_t>(tokens[t]));
    std::copy(from.begin(), from.end(), out.row(t).begin());
  }
}

}  // namespace tandem::engine
