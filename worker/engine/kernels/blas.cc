#include "worker/engine/kernels/blas.h"

#include <cblas.h>

#include <algorithm>

namespace tandem::engine {
namespace {

// OpenBLAS has one thread count for the whole process, and its pool would fight with ours for the cores.
const bool kOneThread = [] {
  openblas_set_num_threads(1);
  return true;
}();

blasint as_int(size_t n) {
  return static_cast<blasint>(n);
}

}  // namespace

void blas_multiply_transposed(BlasView x, BlasView weights, size_t n, size_t m, size_t k, bool add,
                              float* out, size_t out_stride) {
  (void)kOneThread;
  if (n == 1) {  // sgemm would copy all weights into its own order first: twice the memory traffic
    if (!add) std::fill_n(out, m, 0.0f);
    cblas_sgemv(CblasRowMajor, CblasNoTrans, as_int(m), as_int(k), 1.0f, weights.data, as_int(weights.stride),
                x.data, 1, 1.0f, out, 1);
    return;
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, as_int(n), as_int(m), as_int(k), 1.0f, x.data,
              as_int(x.stride), weights.data, as_int(weights.stride), add ? 1.0f : 0.0f, out,
              as_int(out_stride));
}

}  // namespace tandem::engine
