// The decoder that the architectures of the Qwen family share.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/engine/kernels/matmul_input.h"
#include "worker/engine/kernels/paged_attention.h"
#include "worker/engine/kernels/rope.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/model/decoder_head.h"
#include "worker/engine/model/decoder_weights.h"
#include "worker/engine/model/model.h"

namespace tandem::engine {

// For each token: embedding, then n_layers of
//
//   x += o(attention(rope(q(h)), rope(k(h)), v(h)))   with h = rms_norm(x)
//   x += down(silu(gate(h)) * up(h))                  with h = rms_norm(x)
//
// and for the wanted tokens head(rms_norm(x)). All tokens of a batch are the rows of one matrix; only
// attention looks at the sequence a row belongs to. The last layer gives the cache the keys and values of all
// tokens, and computes the rest for the wanted ones only.
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
  bool weights_are_shared() const override { return weights_.memory.is_shared(); }
  ComputeType compute() const override { return weights_.embedding.type; }
  KvType kv_type() const override { return kv_type_; }
  void forward(std::span<const BatchRow> batch, KvCache& kv, Logits& logits) override;
  void forward_with_hidden(std::span<const BatchRow> batch, KvCache& kv, Logits& logits,
                           std::vector<std::vector<float>>& hidden) override;

 private:
  Decoder(ModelConfig config, std::string fingerprint, KvType kv_type, DecoderWeights weights,
          std::unique_ptr<ThreadPool> pool);

  void run(std::span<const BatchRow> batch, KvCache& kv, Logits& logits,
           std::vector<std::vector<float>>* hidden);
  void plan(std::span<const BatchRow> batch);
  void embed();
  void project_qkv(const LayerWeights& weights, size_t layer, KvCache& kv);
  void keep_wanted();
  void attend(const LayerWeights& weights, size_t layer, KvCache& kv);
  void mlp(const LayerWeights& weights);
  void set_input_normed(std::span<const float> gain);
  Matrix x() { return {x_.data(), n_rows_, config_.d_model}; }

  const ModelConfig config_;
  const std::string fingerprint_;
  const KvType kv_type_;
  const DecoderWeights weights_;
  const std::unique_ptr<ThreadPool> pool_;
  const float epsilon_;

  // The step under way; kept from step to step so that memory is allocated only when a batch is larger than
  // all before it.
  Tokens tokens_;
  std::vector<AttentionPiece> pieces_;          // all tokens
  std::vector<AttentionPiece> wanted_pieces_;   // the tokens whose logits are wanted
  std::vector<AttentionPiece> stores_;          // all tokens, cut where a block of the cache ends
  std::vector<uint32_t> wanted_;                // their rows
  AttentionPlan attention_plan_, wanted_plan_;  // of the two
  const AttentionPlan* attending_ = nullptr;    // one of the two
  size_t n_rows_ = 0;                           // of x: tokens, or wanted ones
  RopeTable rope_;
  AttentionScratch attention_scratch_;
  std::vector<float> x_, qkv_, attended_;
  std::vector<std::vector<float>> row_of_thread_;
  MatmulInput input_, gated_;
  DecoderHead head_;
};

}  // namespace tandem::engine
