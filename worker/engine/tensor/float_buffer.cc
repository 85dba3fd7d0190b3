#include "worker/engine/tensor/float_buffer.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace tandem::engine {

Result<FloatBuffer> FloatBuffer::reserve(size_t n_floats) {
  FloatBuffer buffer;
  if (n_floats == 0) return buffer;
  if (n_floats > std::numeric_limits<size_t>::max() / sizeof(float)) {
    return fail(ErrorCode::kIo,
                "cannot reserve " + std::to_string(n_floats) + " floats: more than any memory");
  }
  const size_t n_bytes = n_floats * sizeof(float);
  void* data =
      ::mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return fail(ErrorCode::kIo,
                "cannot reserve " + std::to_string(n_bytes) + " bytes of memory: " + std::strerror(errno));
  }
  if (n_bytes >= (2u << 20)) (void)::madvise(data, n_bytes, MADV_HUGEPAGE);  // a wish; works without
  buffer.data_ = static_cast<float*>(data);
  buffer.n_floats_ = n_floats;
  return buffer;
}

FloatBuffer::~FloatBuffer() {
  if (data_ != nullptr) ::munmap(data_, n_floats_ * sizeof(float));
}

FloatBuffer::FloatBuffer(FloatBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), n_floats_(std::exchange(other.n_floats_, 0)) {}

FloatBuffer& FloatBuffer::operator=(FloatBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(n_floats_, other.n_floats_);
  return *this;
}

}  // namespace tandem::engine
