// Large float arrays: reserved from the operating system, touched only where they are used.

#pragma once

#include <cstddef>
#include <span>

#include "shared/base/result.h"

namespace tandem::engine {

// Owns one anonymous memory map. Reads as zero until written; pages cost memory from their first write on.
// The start is page-aligned, and the kernel is asked for huge pages (fewer TLB misses in large weights).
class FloatBuffer {
 public:
  // kIo when the system refuses, with the size asked for. 0 floats give an empty buffer.
  static Result<FloatBuffer> reserve(size_t n_floats);
  FloatBuffer() = default;
  ~FloatBuffer();
  FloatBuffer(FloatBuffer&& other) noexcept;
  FloatBuffer& operator=(FloatBuffer&& other) noexcept;

  float* data() { return data_; }
  const float* data() const { return data_; }
  size_t size() const { return n_floats_; }

 private:
  float* data_ = nullptr;
  size_t n_floats_ = 0;
};

}  // namespace tandem::engine
