#include "worker/engine/tensor/stored_tensor.h"

namespace tandem::engine {

std::string to_string(std::span<const uint64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace tandem::engine
