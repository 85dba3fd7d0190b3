#include "worker/engine/model/fingerprint.h"

#include <algorithm>

#include "shared/base/hash.h"

namespace tandem::engine {
namespace {

constexpr size_t kSampleBytes = 4096;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

std::string model_fingerprint(const ModelConfig& config, const Checkpoint& checkpoint,
                              std::string_view compute_type) {
  HashBuilder hash;
  hash.add(std::string_view("tandem-model-1")).add(compute_type).add(std::string_view(config.architecture));
  for (const size_t number : {config.n_layers, config.d_model, config.n_heads, config.n_kv_heads,
                              config.d_head, config.d_ff, config.n_vocab, config.n_positions_max}) {
    hash.add(uint64_t{number});
  }
  hash.add(config.rope_theta).add(config.rms_epsilon);
  hash.add(uint64_t{config.tied_embedding}).add(uint64_t{config.attention_bias});
  for (const auto& [name, entry] : checkpoint.tensors()) {
    const StoredTensor& tensor = entry.tensor;
    const size_t n_sample = std::min(kSampleBytes, tensor.bytes.size());
    hash.add(std::string_view(name)).add(std::string_view(tensor.type)).add(uint64_t{tensor.shape.size()});
    for (const uint64_t n : tensor.shape) hash.add(n);
    hash.add(uint64_t{tensor.bytes.size()});
    hash.add(as_text(tensor.bytes.first(n_sample))).add(as_text(tensor.bytes.last(n_sample)));
  }
  return hash.finish().to_hex();
}

}  // namespace tandem::engine
