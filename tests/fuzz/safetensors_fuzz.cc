// Any bytes as a safetensors file, and any bytes as the header of one.

#include <cstring>
#include <string>

#include "shared/base/assert.h"
#include "worker/engine/tensor/element_type.h"
#include "worker/engine/tensor/safetensors.h"

namespace {

// Whatever is accepted lies in the file, side by side, and has the size that its shape and type say.
void check(const std::string& file) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(file));
  const auto tensors = tandem::engine::parse_safetensors(bytes);
  if (!tensors) return;
  size_t n_bytes = 0;
  for (const auto& tensor : *tensors) {
    TANDEM_ASSERT(tensor.bytes.data() >= bytes.data() && tensor.bytes.size() <= bytes.size() &&
                      tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + bytes.size(),
                  "a tensor lies in its file");
    n_bytes += tensor.bytes.size();
    uint64_t n_expected = tandem::engine::element_bytes(tensor.type);
    if (n_expected == 0) continue;
    for (const uint64_t n : tensor.shape) n_expected *= n;
    TANDEM_ASSERT(tensor.bytes.size() == n_expected, "shape and type give the size");
  }
  TANDEM_ASSERT(n_bytes <= bytes.size(), "tensors do not overlap");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  check(input);
  // A length that fits, so that mutations reach the JSON: the sample's header, or all of it.
  const size_t n_skip = size >= 8 ? 8 : 0;
  for (const size_t n_data : {size_t{0}, size_t{8}, size_t{24}}) {
    if (n_skip + n_data > size) continue;
    const uint64_t n_header = size - n_skip - n_data;
    std::string file(sizeof n_header, '\0');
    std::memcpy(file.data(), &n_header, sizeof n_header);
    check(file + input.substr(n_skip));
  }
  return 0;
}
