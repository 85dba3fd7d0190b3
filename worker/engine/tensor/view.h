// Views of float matrices: row-major, rows next to each other. They own nothing.

#pragma once

#include <cstddef>
#include <span>

namespace tandem::engine {

struct ConstMatrix {
  const float* data = nullptr;
  size_t n_rows = 0;
  size_t n_columns = 0;
  std::span<const float> row(size_t i) const { return {data + i * n_columns, n_columns}; }
};

struct Matrix {
  float* data = nullptr;
  size_t n_rows = 0;
  size_t n_columns = 0;
  std::span<float> row(size_t i) const { return {data + i * n_columns, n_columns}; }
  operator ConstMatrix() const { return {data, n_rows, n_columns}; }
};

}  // namespace tandem::engine
