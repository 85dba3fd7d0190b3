// The safetensors format: where each tensor lies in a file.
//
//   8 bytes   n, little-endian: length of the header
//   n bytes   JSON: {"name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
//   the rest  the tensors' bytes; offsets count from here
//
// A file comes from somewhere else, so nothing in it is believed: every length is checked before it is used.

#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/tensor/stored_tensor.h"

namespace tandem::engine {

// All tensors of `file`, in the order of their bytes. kCorrupt, naming the tensor, what was expected and what
// was found: a file that ends early, a header longer than it may be or than the file, broken JSON, a name
// twice, offsets outside the file, overlapping, leaving a hole, or not fitting shape and type. A type that is
// not known passes (its size is not checked): who asks for that tensor decides.
Result<std::vector<StoredTensor>> parse_safetensors(std::span<const std::byte> file);

}  // namespace tandem::engine
