#include "worker/engine/kernels/matmul.h"

#include <algorithm>

#include "shared/base/assert.h"
#include "worker/engine/kernels/blas.h"

namespace tandem::engine {
namespace {

constexpr size_t kSliceOutputs = 16;  // slices begin at multiples, so that kernels see whole registers
constexpr size_t kOperationsToShare = 1 << 16;  // below it, waking the others costs more than it saves

void multiply_slice(ConstMatrix x, const MatmulPart& part, size_t begin, size_t end) {
  if (begin >= end) return;
  const bool has_bias = !part.bias.empty();
  if (has_bias) {
    for (size_t t = 0; t < x.n_rows; ++t) {
      std::copy(part.bias.begin() + begin, part.bias.begin() + end, part.out.row(t).begin() + begin);
    }
  }
  blas_multiply_transposed({x.data, x.n_columns}, {part.weights.data + begin * x.n_columns, x.n_columns},
                           x.n_rows, end - begin, x.n_columns, has_bias, part.out.data + begin,
                           part.out.n_columns);
}

}  // namespace

void matmul(ThreadPool& pool, ConstMatrix x, std::initializer_list<MatmulPart> parts) {
  size_t n_operations = 0;
  for (const MatmulPart& part : parts) {
    TANDEM_ASSERT(part.weights.n_columns == x.n_columns, "weights take what x has");
    TANDEM_ASSERT(part.out.n_rows == x.n_rows && part.out.n_columns == part.weights.n_rows,
                  "out has a place for all");
    TANDEM_ASSERT(part.bias.empty() || part.bias.size() == part.weights.n_rows, "one bias for each output");
    n_operations += x.n_rows * part.weights.n_rows * part.weights.n_columns;
  }
  if (x.n_rows == 0) return;
  const size_t n_slices = n_operations < kOperationsToShare ? 1 : pool.n_threads();
  pool.run(n_slices, [&](size_t slice, size_t) {
    for (const MatmulPart& part : parts) {
      const size_t n_outputs = part.weights.n_rows;
      const auto border = [&](size_t i) {
        return i == n_slices ? n_outputs : n_outputs * i / n_slices / kSliceOutputs * kSliceOutputs;
      };
      multiply_slice(x, part, border(slice), border(slice + 1));
    }
  });
}

}  // namespace tandem::engine
