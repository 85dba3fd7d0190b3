// Any bytes as a GGUF file: its tensors, the config and the tokenizer that they make.

#include <string>

#include "shared/base/assert.h"
#include "worker/engine/model/gguf_config.h"
#include "worker/engine/tensor/gguf.h"
#include "worker/engine/tensor/gguf_names.h"
#include "worker/engine/tokenizer/tokenizer_gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tandem::engine;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto gguf = parse_gguf(bytes);
  if (!gguf) {
    TANDEM_ASSERT(!gguf.error().text.empty(), "an error has a text");
    return 0;
  }
  const std::byte* end = bytes.data();
  for (const StoredTensor& tensor : gguf->tensors) {
    (void)hugging_face_name(tensor.name);
    if (tensor.bytes.empty()) continue;
    TANDEM_ASSERT(tensor.bytes.data() >= end, "tensors do not overlap");
    end = tensor.bytes.data() + tensor.bytes.size();
    TANDEM_ASSERT(end <= bytes.data() + bytes.size(), "a tensor lies in its file");
  }
  for (const auto& [key, value] : gguf->metadata) (void)value.shown();
  constexpr std::string_view kSupported[] = {"Qwen2ForCausalLM", "Qwen3ForCausalLM"};
  if (const auto config = gguf_model_config(*gguf, kSupported)) {
    TANDEM_ASSERT(config->d_head > 0 && config->n_vocab > 0, "a config that is accepted makes sense");
  }
  (void)gguf_tokenizer_fingerprint(*gguf);
  if (const auto file = read_gguf_tokenizer(*gguf)) {
    TANDEM_ASSERT(file->tokens.size() >= 256, "every byte has a token");
  }
  return 0;
}
