// A model that computes nothing: for tests that count tokens with tokenizers whose models are not at hand.

#pragma once

#include <string>

#include "worker/engine/model/model.h"

namespace tandem::testing {

class CountingModel : public engine::Model {
 public:
  explicit CountingModel(size_t n_vocab) {
    config_.n_layers = config_.n_kv_heads = config_.d_head = 1;
    config_.n_vocab = n_vocab;
    config_.n_positions_max = 32768;
  }

  const engine::ModelConfig& config() const override { return config_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  engine::ComputeType compute() const override { return engine::ComputeType::kF32; }
  engine::KvType kv_type() const override { return engine::KvType::kF32; }

  // All logits are equal.
  void forward(std::span<const engine::BatchRow> batch, engine::KvCache&, engine::Logits& logits) override {
    logits.places.clear();
    size_t n_values = 0;
    for (const engine::BatchRow& row : batch) {
      for (size_t i = 0; i < row.n_logits; ++i) {
        logits.places.push_back({n_values, row.wanted.empty() ? config_.n_vocab : row.wanted.size()});
        n_values += logits.places.back().n;
      }
      advance(*row.kv, row.tokens.size());
    }
    logits.values.assign(n_values, 0);
  }
  void forward_with_hidden(std::span<const engine::BatchRow> batch, engine::KvCache& kv,
                           engine::Logits& logits, std::vector<std::vector<float>>&) override {
    forward(batch, kv, logits);
  }

 private:
  engine::ModelConfig config_;
  std::string fingerprint_ = "counting";
};

}  // namespace tandem::testing
