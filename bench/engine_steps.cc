#include <algorithm>

#include "bench/ceilings.h"
#include "bench/engine_parts.h"
#include "bench/median.h"
#include "shared/base/assert.h"

namespace tandem::bench {

using engine::BatchRow;
using engine::ComputeType;
using engine::KvCache;
using engine::KvSequence;
using engine::Logits;
using engine::Model;
using engine::TokenId;

WeightCounts count_weights(const engine::ModelConfig& config) {
  const double d_q = static_cast<double>(config.n_heads * config.d_head);
  const double d_kv = static_cast<double>(config.n_kv_heads * config.d_head);
  const double d_model = static_cast<double>(config.d_model), d_ff = static_cast<double>(config.d_ff);
  return {static_cast<double>(config.n_layers) * d_model * (2 * d_q + 2 * d_kv + 3 * d_ff),
          static_cast<double>(config.n_vocab) * d_model};
}

double bytes_of_a_weight(ComputeType type) {
  return static_cast<double>(engine::PackedMatrix::block_bytes(type)) /
         (engine::kBlockInputs * engine::kPanelOutputs);
}

Ceilings measure_ceilings(const EngineOptions& options) {
  const size_t n = options.n_threads;
  const std::optional<Ceiling> int8 = measure_int8(n, options.ceiling_time);
  return {measure_fma(n, options.ceiling_time).per_second, int8 ? int8->per_second : 0,
          measure_bandwidth(n, options.ceiling_bytes).per_second};
}

Ceilings mean_of(const Ceilings& before, const Ceilings& after) {
  return {(before.fma + after.fma) / 2, (before.int8 + after.int8) / 2,
          (before.bandwidth + after.bandwidth) / 2};
}

namespace {

constexpr size_t kDecodeContext = 64;  // tokens in each sequence before decoding begins

class Steps {
 public:
  Steps(Model& model, KvCache& kv, const EngineOptions& options, Report& report)
      : model_(model), kv_(kv), options_(options), report_(report) {}

  void prefill(size_t n_tokens) {
    const Ceilings before = measure_ceilings(options_);
    std::vector<double> seconds;
    for (size_t i = 0; i < options_.n_rounds; ++i) {
      KvSequence sequence = kv_.make_sequence();
      seconds.push_back(step(std::span(&sequence, 1), n_tokens));
    }
    add_row("prefill", n_tokens, n_tokens, 1, median(seconds), before);
  }

  void decode(size_t n_sequences) {
    std::vector<KvSequence> sequences;
    for (size_t i = 0; i < n_sequences; ++i) {
      sequences.push_back(kv_.make_sequence());
      step(std::span(&sequences.back(), 1), kDecodeContext);
    }
    const Ceilings before = measure_ceilings(options_);
    std::vector<double> seconds;
    for (size_t i = 0; i < options_.n_rounds * 4; ++i) seconds.push_back(step(sequences, 1));
    add_row("decode", n_sequences, n_sequences, n_sequences, median(seconds), before);
  }

 private:
  // Seconds for one forward() of n_tokens in each sequence.
  double step(std::span<KvSequence> sequences, size_t n_tokens) {
    tokens_.resize(n_tokens);
    for (TokenId& token : tokens_) token = static_cast<TokenId>(next_token_++ % model_.config().n_vocab);
    std::vector<BatchRow> batch;
    for (KvSequence& sequence : sequences) {
      TANDEM_ASSERT(kv_.reserve(sequence, n_tokens), "the cache was made large enough");
      batch.push_back({&sequence, tokens_, 1});
    }
    return seconds_of([&] { model_.forward(batch, kv_, logits_); });
  }

  // The least time that a step can take: all multiply-adds of the weights at the peak of their type, or all
  // weights read once at the memory's rate, whichever is longer.
  void add_row(const std::string& name, size_t n, size_t n_tokens, size_t n_logits, double seconds,
               const Ceilings& before) {
    const Ceilings ceilings = mean_of(before, measure_ceilings(options_));
    const WeightCounts counts = count_weights(model_.config());
    const double by_operations =
        2 * (counts.layers * static_cast<double>(n_tokens) + counts.head * static_cast<double>(n_logits)) /
        ceilings.operations(model_.compute());
    const double by_bytes =
        (counts.layers + counts.head) * bytes_of_a_weight(model_.compute()) / ceilings.bandwidth;
    const char* const peak = model_.compute() == ComputeType::kQ8 ? "of int8 peak" : "of FMA peak";
    report_.add({name + "." + std::string(name_of(model_.compute())) + "." + std::to_string(n),
                 static_cast<double>(n_tokens) / seconds, "tokens/s",
                 std::max(by_operations, by_bytes) / seconds,
                 by_bytes > by_operations ? "of bandwidth" : peak});
  }

  Model& model_;
  KvCache& kv_;
  const EngineOptions& options_;
  Report& report_;
  std::vector<TokenId> tokens_;
  size_t next_token_ = 1;
  Logits logits_;
};

}  // namespace

Result<void> measure_steps(Model& model, const EngineOptions& options, Report& report) {
  TANDEM_ASSIGN(KvCache kv, KvCache::create(model.kv_shape(), 160));
  Steps steps(model, kv, options, report);
  steps.prefill(64);
  steps.prefill(512);
  for (const size_t n : {1, 2, 4, 8, 16}) steps.decode(n);
  return {};
}

}  // namespace tandem::bench
