// Writes GGUF files for tests: any content, also wrong, and golden models as llama.cpp's converter would.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::testing {

class GgufWriter {
 public:
  GgufWriter& number(std::string_view key, uint32_t value);
  GgufWriter& real(std::string_view key, float value);
  GgufWriter& flag(std::string_view key, bool value);
  GgufWriter& text(std::string_view key, std::string_view value);
  GgufWriter& texts(std::string_view key, const std::vector<std::string>& values);
  GgufWriter& integers(std::string_view key, const std::vector<int32_t>& values);
  // A key with any type and bytes.
  GgufWriter& raw(std::string_view key, uint32_t type, std::string_view bytes);

  // `shape` outermost first; `type` is a number of the format. The offset is the next free one unless given.
  GgufWriter& tensor(std::string_view name, uint32_t type, const std::vector<uint64_t>& shape,
                     std::string_view bytes);
  GgufWriter& tensor_at(uint64_t offset, std::string_view name, uint32_t type,
                        const std::vector<uint64_t>& shape);

  std::string file(uint32_t version = 3, size_t alignment = 32) const;

 private:
  GgufWriter& key(std::string_view key, uint32_t type);

  std::string keys_, tensors_, data_;
  uint64_t n_keys_ = 0, n_tensors_ = 0;
};

// The number of a type in the format: "F32", "F16", "BF16", "Q8_0", "Q4_0".
uint32_t gguf_type(std::string_view type);

// `values` as a file of that type would hold them: f16 and bf16 to the nearest, blocks of 32 as llama.cpp
// quantises them.
std::string stored_as(std::string_view type, std::span<const float> values);

// A model of tests/data/golden/models twice, with the same values: as a GGUF file whose matrices are of
// `type` (F16 where their rows are no whole blocks) and whose vectors are F32, and as the safetensors file of
// F32 that holds what these mean.
struct GgufAndTwin {
  std::string gguf, safetensors;
};
GgufAndTwin gguf_and_twin(const std::string& model, const std::string& type);

}  // namespace tandem::testing
