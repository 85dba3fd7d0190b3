// A decoder model: weights from a Hugging Face folder, one forward pass over a ragged batch.

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/kernels/packed_matrix.h"
#include "worker/engine/kv/kv_cache.h"
#include "worker/engine/tensor/view.h"
#include "worker/engine/tokens.h"

namespace tandem::engine {

// From config.json; names as in STYLE.md.
struct ModelConfig {
  std::string architecture;  // "Qwen2ForCausalLM"
  size_t n_layers = 0, d_model = 0, n_heads = 0, n_kv_heads = 0, d_head = 0, d_ff = 0, n_vocab = 0;
  size_t n_positions_max = 0;
  double rope_theta = 0, rms_epsilon = 0;
  bool tied_embedding = false;
  bool attention_bias = false;      // as config.json has it; Qwen2 has biases on q, k, v without saying so
  std::vector<TokenId> end_tokens;  // from generation_config.json, else config.json
};

// The tokens of one sequence in this step: a piece of its prompt, or the token drawn last. They continue
// `kv`, which must have room (KvCache::reserve); its n_tokens() grows by tokens.size().
struct BatchRow {
  KvSequence* kv = nullptr;
  std::span<const TokenId> tokens;  // at least one
  size_t n_logits = 1;              // logits of the last n_logits tokens are wanted; 0..tokens.size()
  // The only tokens whose logits are wanted; empty: all of the vocabulary. The same bits, at a cost of their
  // number.
  std::span<const TokenId> wanted = {};
};

// Logits of a step, in the order of the batch's rows and, within a row, of its tokens: for each n_vocab
// values, or one for each wanted token.
struct Logits {
  struct Place {
    size_t begin = 0, n = 0;
  };
  std::vector<float> values;
  std::vector<Place> places;
  size_t size() const { return places.size(); }
  std::span<float> operator[](size_t i) { return {values.data() + places[i].begin, places[i].n}; }
};

struct ModelOptions {
  size_t n_threads = 0;  // 0: one for each core this process may use
  bool pin = false;      // ThreadPool::Pin
  ComputeType compute = ComputeType::kF32;
  KvType kv = KvType::kF32;
  // Where packed weights are kept for the next start and for other processes of this host (packed_memory.h);
  // empty: in this process only.
  std::filesystem::path packed_folder = {};
};

// Weights are immutable and shared; forward() belongs to one thread at a time (the inference thread; it uses
// a pool of n_threads inside).
class Model {
 public:
  // `folder` may also be a .gguf file, or a folder with one and no safetensors.
  // kNotFound, kCorrupt (a truncated or inconsistent file: says which tensor, shape, type was expected and
  // found), kUnsupported (another architecture: says which are supported), each with the path.
  static Result<std::unique_ptr<Model>> load(const std::filesystem::path& folder,
                                             const ModelOptions& options);
  virtual ~Model();

  virtual const ModelConfig& config() const = 0;
  // What the answers depend on, as a hash in hex: weights, compute type, kv_type(); see fingerprint.h.
  virtual const std::string& fingerprint() const = 0;
  virtual ComputeType compute() const = 0;
  virtual KvType kv_type() const = 0;
  // Whether the packed weights lie in a file that other processes can map; false where there could be none.
  virtual bool weights_are_shared() const { return false; }
  KvShape kv_shape() const { return kv_shape(kv_type()); }
  KvShape kv_shape(KvType type) const;

  // One step. Rows are independent: each gets, bit for bit, what it would get alone, whatever the batch, the
  // pieces its tokens come in and the number of threads. Token ids out of range and missing room are bugs and
  // abort.
  virtual void forward(std::span<const BatchRow> batch, KvCache& kv, Logits& logits) = 0;

  // For tests and embedders: the same, and the hidden states of the rows' tokens after each layer
  // [n_layers + 1][n_tokens, d_model]; the last is after the final norm.
  virtual void forward_with_hidden(std::span<const BatchRow> batch, KvCache& kv, Logits& logits,
                                   std::vector<std::vector<float>>& hidden) = 0;

 protected:
  static void advance(KvSequence& sequence, size_t n_tokens);
};

}  // namespace tandem::engine
