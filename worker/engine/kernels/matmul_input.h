// The left side of a product: rows of activations in the order in which the tiles read them.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "worker/engine/kernels/packed_matrix.h"

namespace tandem::engine {

// For each block of 128 inputs all rows, one after the other: as floats for f32 and bf16 weights, as 8-bit
// integers with a scale for q8. Memory is kept from use to use. Different rows, and different blocks, may be
// set from several threads at once.
class MatmulInput {
 public:
  // Forgets what was there; the rows are to be set next.
  void reshape(ComputeType type, size_t n_rows, size_t n_inputs);

  // The whole row: values[n_inputs].
  void set_row(size_t row, std::span<const float> values);
  // One block of a row: 128 values, zeros behind the last input.
  void set_block(size_t row, size_t block, const float* values);

  size_t n_rows() const { return n_rows_; }
  size_t n_inputs() const { return n_inputs_; }
  size_t n_blocks() const { return (n_inputs_ + kBlockInputs - 1) / kBlockInputs; }
  ComputeType type() const { return type_; }

  // Of all rows of one block.
  const float* floats(size_t block) const { return floats_.data() + block * n_rows_ * kBlockInputs; }
  const std::byte* integers(size_t block) const {
    return integers_.data() + block * n_rows_ * kBlockInputs * n_value_bytes_;
  }
  const float* scales(size_t block) const { return scales_.data() + block * n_rows_; }
  const int32_t* sums(size_t block) const { return sums_.data() + block * n_rows_; }

 private:
  ComputeType type_ = ComputeType::kF32;
  size_t n_rows_ = 0, n_inputs_ = 0, n_value_bytes_ = 0;
  std::vector<float> floats_;
  std::vector<std::byte> integers_;
  std::vector<float> scales_;
  std::vector<int32_t> sums_;
};

}  // namespace tandem::engine
