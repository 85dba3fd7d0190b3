// The GGUF format (versions 2 and 3, little-endian): a whole model in one file, as llama.cpp writes it.
//
//   "GGUF"  u32 version  u64 n_tensors  u64 n_keys
//   n_keys times     text key, u32 type, the value
//   n_tensors times  text name, u32 n_dimensions, u64 sizes (innermost first), u32 type, u64 offset
//   padding to general.alignment (32 unless said otherwise), and the tensors' bytes; offsets count from here
//
// A text is a u64 length and its bytes. An array is a u32 type, a u64 count and the elements.
//
// A file comes from somewhere else, so nothing in it is believed: every length is checked before it is used.

#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/tensor/gguf_value.h"
#include "worker/engine/tensor/stored_tensor.h"

namespace tandem::engine {

struct GgufFile {
  std::map<std::string, GgufValue, std::less<>> metadata;
  // In the order of their bytes, with the names of the file. A type whose size is not known has no bytes.
  std::vector<StoredTensor> tensors;

  const GgufValue* find(std::string_view key) const;  // nullptr when there is none
};

// kCorrupt, naming place, expected and found: a file that ends early, lengths and counts that cannot be, a
// key or tensor twice, values of no known type, tensors outside the file, overlapping or not at the
// alignment. kUnsupported for version 1, big-endian files, lists of lists and files in several parts.
Result<GgufFile> parse_gguf(std::span<const std::byte> file);

// The GGUF file that `path` means: itself, when it is a file named *.gguf; the only such file of a folder
// that has no safetensors; else nothing. kInvalid when a folder without safetensors has several.
Result<std::optional<std::filesystem::path>> gguf_file_of(const std::filesystem::path& path);

}  // namespace tandem::engine
