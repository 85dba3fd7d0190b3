#include "worker/engine/model/fingerprint.h"

#include <algorithm>
#include <vector>

#include "worker/engine/kernels/thread_pool.h"

namespace tandem::engine {
namespace {

constexpr size_t kChunkBytes = 4u << 20;
constexpr size_t kChunksToShare = 4;  // less is hashed before other threads have started

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Every tensor cut into chunks, tensors by name.
std::vector<std::span<const std::byte>> chunks_of(const Checkpoint& checkpoint) {
  std::vector<std::span<const std::byte>> chunks;
  for (const auto& [name, entry] : checkpoint.tensors()) {
    std::span<const std::byte> rest = entry.tensor.bytes;
    while (!rest.empty()) {
      chunks.push_back(rest.first(std::min(kChunkBytes, rest.size())));
      rest = rest.subspan(chunks.back().size());
    }
  }
  return chunks;
}

std::vector<Hash128> hash_all(const Checkpoint& checkpoint) {
  const auto chunks = chunks_of(checkpoint);
  std::vector<Hash128> hashes(chunks.size());
  size_t n_bytes = 0;
  for (const auto& chunk : chunks) n_bytes += chunk.size();
  ThreadPool pool(n_bytes < kChunksToShare * kChunkBytes ? 1 : 0);
  pool.run(chunks.size(), [&](size_t i, size_t) {
    hashes[i] = hash128(as_text(chunks[i]));
    checkpoint.forget_pages(chunks[i]);
  });
  return hashes;
}

}  // namespace

void add_tensors(HashBuilder& hash, const Checkpoint& checkpoint) {
  const std::vector<Hash128> hashes = hash_all(checkpoint);
  auto next = hashes.begin();
  for (const auto& [name, entry] : checkpoint.tensors()) {
    const StoredTensor& tensor = entry.tensor;
    hash.add(std::string_view(name)).add(std::string_view(tensor.type)).add(uint64_t{tensor.shape.size()});
    for (const uint64_t n : tensor.shape) hash.add(n);
    hash.add(uint64_t{tensor.bytes.size()});
    for (size_t done = 0; done < tensor.bytes.size(); done += kChunkBytes, ++next) {
      hash.add_bytes(next->bytes.data(), next->bytes.size());
    }
  }
}

std::string model_fingerprint(const ModelConfig& config, const Checkpoint& checkpoint,
                              std::string_view compute_type) {
  HashBuilder hash;
  hash.add(std::string_view("tandem-model-2")).add(compute_type).add(std::string_view(config.architecture));
  for (const size_t number : {config.n_layers, config.d_model, config.n_heads, config.n_kv_heads,
                              config.d_head, config.d_ff, config.n_vocab, config.n_positions_max}) {
    hash.add(uint64_t{number});
  }
  hash.add(config.rope_theta).add(config.rms_epsilon);
  hash.add(uint64_t{config.tied_embedding}).add(uint64_t{config.attention_bias});
  add_tensors(hash, checkpoint);
  return hash.finish().to_hex();
}

std::string fingerprint_with(const std::string& fingerprint, std::string_view what) {
  return HashBuilder().add(std::string_view(fingerprint)).add(what).finish().to_hex();
}

}  // namespace tandem::engine
