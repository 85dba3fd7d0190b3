#include "worker/engine/kernels/matmul_input.h"

#include <algorithm>

#include "shared/base/assert.h"
#include "worker/engine/kernels/grown.h"

namespace tandem::engine {

void MatmulInput::reshape(ComputeType type, size_t n_rows, size_t n_inputs) {
  type_ = type;
  n_rows_ = n_rows;
  n_inputs_ = n_inputs;
  const size_t n_values = n_blocks() * n_rows * kBlockInputs;
  if (type != ComputeType::kQ8) {
    grown(floats_, n_values);
    return;
  }
  n_value_bytes_ = simd().q8_input_bytes;
  grown(integers_, n_values * n_value_bytes_);
  grown(scales_, n_blocks() * n_rows);
  grown(sums_, n_blocks() * n_rows);
}

void MatmulInput::set_row(size_t row, std::span<const float> values) {
  TANDEM_DCHECK(values.size() == n_inputs_, "a row has all inputs");
  size_t block = 0;
  for (; (block + 1) * kBlockInputs <= n_inputs_; ++block)
    set_block(row, block, &values[block * kBlockInputs]);
  if (block == n_blocks()) return;
  float last[kBlockInputs] = {};
  std::copy(values.begin() + static_cast<ptrdiff_t>(block * kBlockInputs), values.end(), last);
  set_block(row, block, last);
}

void MatmulInput::set_block(size_t row, size_t block, const float* values) {
  const size_t place = block * n_rows_ + row;
  if (type_ != ComputeType::kQ8) {
    std::copy_n(values, kBlockInputs, floats_.data() + place * kBlockInputs);
    return;
  }
  simd().quantize(values, integers_.data() + place * kBlockInputs * n_value_bytes_, scales_[place],
                  sums_[place]);
}

}  // namespace tandem::engine
