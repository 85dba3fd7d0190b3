// Packed matrices of a test's own values.

#pragma once

#include <vector>

#include "tests/engine/support/golden.h"
#include "worker/engine/kernels/matmul_input.h"
#include "worker/engine/kernels/packed_matrix.h"
#include "worker/engine/tensor/float_buffer.h"

namespace tandem::testing {

// Owns the memory of its matrix.
struct Packed {
  engine::PackedMatrix matrix;
  engine::FloatBuffer memory;

  // Room for n_outputs x n_inputs; zeros.
  static Packed of_shape(engine::ComputeType type, size_t n_outputs, size_t n_inputs) {
    Packed packed;
    packed.matrix = {type, n_outputs, n_inputs, nullptr};
    packed.memory = must(engine::FloatBuffer::reserve(packed.matrix.n_bytes() / sizeof(float)));
    packed.matrix.data = packed.bytes();
    return packed;
  }
  // values[n_outputs][n_inputs]
  static Packed of(engine::ComputeType type, engine::ConstMatrix values) {
    Packed packed = of_shape(type, values.n_rows, values.n_columns);
    engine::ThreadPool pool(2);
    engine::pack(
        pool, packed.matrix,
        [&](size_t output, std::span<float> row) {
          std::copy(values.row(output).begin(), values.row(output).end(), row.begin());
        },
        packed.bytes());
    return packed;
  }

  std::byte* bytes() { return reinterpret_cast<std::byte*>(memory.data()); }
  // [n_outputs][n_inputs], as the products see them.
  std::vector<float> unpacked() const {
    std::vector<float> values(matrix.n_outputs * matrix.n_inputs);
    for (size_t o = 0; o < matrix.n_outputs; ++o) {
      matrix.unpack(o, std::span(values).subspan(o * matrix.n_inputs, matrix.n_inputs));
    }
    return values;
  }
};

inline engine::MatmulInput input_of(engine::ComputeType type, engine::ConstMatrix rows) {
  engine::MatmulInput input;
  input.reshape(type, rows.n_rows, rows.n_columns);
  for (size_t row = 0; row < rows.n_rows; ++row) input.set_row(row, rows.row(row));
  return input;
}

inline constexpr engine::ComputeType kComputeTypes[] = {engine::ComputeType::kF32, engine::ComputeType::kBf16,
                                                        engine::ComputeType::kQ8};

}  // namespace tandem::testing
