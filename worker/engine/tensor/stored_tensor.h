// One tensor of a model file, as it lies there.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tandem::engine {

// `bytes` points into the file's memory.
struct StoredTensor {
  std::string name;
  std::string type;  // as the formats spell it: "F32", "BF16", "Q8_0", "I64", ...
  std::vector<uint64_t>
      shape;  // outermost first; the last dimension is the one whose elements are neighbours
  std::span<const std::byte> bytes;
};

// "[2, 3]"
std::string to_string(std::span<const uint64_t> shape);

}  // namespace tandem::engine
