// The matrix product from OpenBLAS, on the calling thread: what our own kernels are compared with.

#pragma once

#include <cstddef>

namespace tandem::engine {

// A matrix with a distance between its rows, for pieces of larger ones.
struct BlasView {
  const float* data = nullptr;
  size_t stride = 0;
};

// out[n, m] = x[n, k] * weights[m, k]^T, added to what is in `out` when `add`. `out` has its own row
// distance. The result of a row may differ in its last bits with n: OpenBLAS chooses other kernels for other
// sizes.
void blas_multiply_transposed(BlasView x, BlasView weights, size_t n, size_t m, size_t k, bool add,
                              float* out, size_t out_stride);

}  // namespace tandem::engine
