// The decoder that the architectures of the Qwen family share, computed in float: the reference.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/engine/kernels/paged_attention.h"
#include "worker/engine/kernels/rope.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/model/decoder_weights.h"
#include "worker/engine/model/model.h"

namespace tandem::engine {

// For each token: embedding, then n_layers of
//
//   x += o(attention(rope(q(h)), rope(k(h)), v(h)))   with h = rms_norm(x)
//   x += down(silu(gate(h)) * up(h))                  with h = rms_norm(x)
//
// and for the wanted tokens head(rms_norm(x)). All tokens of a batch are the rows of one matrix; only
// attention looks at the sequence a row belongs to.
class Decoder final : public Model {
 public:
  // What make_model() has read by the time it knows the architecture.
  struct Parts {
    ModelConfig config;
    std::unique_ptr<Checkpoint> checkpoint;
    ModelOptions options;
  };
  // Errors of load_decoder_weights().
  static Result<std::unique_ptr<Model>> load(Parts parts, const DecoderTraits& traits);

  const ModelConfig& config() const override { return config_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  void forward(std::span<const BatchRow> batch, KvCache& kv, Logits& logits) override;
  void forward_with_hidden(std::span<const BatchRow> batch, KvCache& kv, Logits& logits,
                           std::vector<std::vector<float>>& hidden) override;

 private:
  Decoder(ModelConfig config, std::string fingerprint, DecoderWeights weights,
          std::unique_ptr<ThreadPool> pool);

  void run(std::span<const BatchRow> batch, KvCache& kv, Logits& logits,
           std::vector<std::vector<float>>* hidden);
  void plan(std::span<const BatchRow> batch);
  void attention_block(size_t layer, KvCache& kv);
  void mlp_block(const LayerWeights& weights);
  void head(Logits& logits);
  Matrix activation(std::vector<float>& memory, size_t n_rows, size_t n_columns) const;

  const ModelConfig config_;
  const std::string fingerprint_;
  const DecoderWeights weights_;
  const std::unique_ptr<ThreadPool> pool_;

  // The step under way; kept from step to step so that memory is allocated only when a batch is larger than
  // all before it.
  std::vector<AttentionPiece> pieces_;
  std::vector<uint32_t> positions_;  // of each token
  std::vector<TokenId> tokens_;
  std::vector<uint32_t> wanted_;  // rows whose logits are wanted
  RopeTable rope_;
  AttentionScratch attention_scratch_;
  std::vector<float> x_, normed_, q_, k_, v_, attended_, added_, gate_, up_, wanted_x_;
};

}  // namespace tandem::engine
