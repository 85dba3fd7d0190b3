#include "worker/engine/model/decoder.h"

#include <algorithm>

#include "shared/base/assert.h"
#include "worker/engine/kernels/grown.h"
#include "worker/engine/kernels/packed_matmul.h"
#include "worker/engine/kernels/simd.h"
#include "worker/engine/model/fingerprint.h"

namespace tandem::engine {
namespace {

constexpr size_t kRowsToShare = 4;  // small operations on fewer rows are not worth waking a thread

void norm_heads(std::span<float> heads, std::span<const float> gain, float epsilon) {
  if (gain.empty()) return;
  for (size_t i = 0; i < heads.size(); i += gain.size()) {
    simd().rms_norm(&heads[i], gain.data(), gain.size(), epsilon, &heads[i]);
  }
}

}  // namespace

Result<std::unique_ptr<Model>> Decoder::load(Parts parts, const DecoderTraits& traits) {
  const ModelOptions& options = parts.options;
  auto pool = std::make_unique<ThreadPool>(options.n_threads,
                                           options.pin ? ThreadPool::Pin::kYes : ThreadPool::Pin::kNo);
  const std::string weights_name =
      model_fingerprint(parts.config, *parts.checkpoint, name_of(options.compute));
  TANDEM_ASSIGN(DecoderWeights weights,
                load_decoder_weights(*parts.checkpoint, parts.config, traits, options.compute, weights_name,
                                     options.packed_folder, *pool));
  std::string fingerprint =
      options.kv == KvType::kF32 ? weights_name : fingerprint_with(weights_name, "kv-f16");
  return std::unique_ptr<Model>(new Decoder(std::move(parts.config), std::move(fingerprint), options.kv,
                                            std::move(weights), std::move(pool)));
}

Decoder::Decoder(ModelConfig config, std::string fingerprint, KvType kv_type, DecoderWeights weights,
                 std::unique_ptr<ThreadPool> pool)
    : config_(std::move(config)),
      fingerprint_(std::move(fingerprint)),
      kv_type_(kv_type),
      weights_(std::move(weights)),
      pool_(std::move(pool)),
      epsilon_(static_cast<float>(config_.rms_epsilon)),
      rope_(config_.rope_theta, config_.d_head) {}

void Decoder::forward(std::span<const BatchRow> batch, KvCache& kv, Logits& logits) {
  run(batch, kv, logits, nullptr);
}

void Decoder::forward_with_hidden(std::span<const BatchRow> batch, KvCache& kv, Logits& logits,
                                  std::vector<std::vector<float>>& hidden) {
  hidden.clear();
  run(batch, kv, logits, &hidden);
}

void Decoder::run(std::span<const BatchRow> batch, KvCache& kv, Logits& logits,
                  std::vector<std::vector<float>>* hidden) {
  plan(batch);
  embed();
  const auto note_hidden = [&] {
    if (hidden != nullptr) hidden->emplace_back(x_.data(), x_.data() + n_rows_ * config_.d_model);
  };
  for (size_t layer = 0; layer < config_.n_layers; ++layer) {
    const LayerWeights& weights = weights_.layers[layer];
    note_hidden();
    project_qkv(weights, layer, kv);
    if (layer + 1 == config_.n_layers && hidden == nullptr) keep_wanted();
    attend(weights, layer, kv);
    mlp(weights);
  }
  pool_->split(n_rows_, kRowsToShare, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      float* const row = x().row(i).data();
      simd().rms_norm(row, weights_.final_norm.data(), config_.d_model, epsilon_, row);
    }
  });
  if (hidden != nullptr) {
    note_hidden();
    keep_wanted();
  }
  head_.run(*pool_, weights_.head, batch, x(), logits);
  for (const BatchRow& row : batch) advance(*row.kv, row.tokens.size());
}

// Stacks the tokens of all rows and notes which sequence and positions they belong to.
void Decoder::plan(std::span<const BatchRow> batch) {
  tokens_.clear();
  pieces_.clear();
  stores_.clear();
  wanted_pieces_.clear();
  wanted_.clear();
  size_t n_positions = 0;
  for (const BatchRow& row : batch) {
    TANDEM_ASSERT(row.kv != nullptr && !row.tokens.empty(), "a row has a sequence and tokens");
    TANDEM_ASSERT(row.n_logits <= row.tokens.size(), "logits are wanted of tokens that are there");
    const size_t n_tokens = row.tokens.size(), n_before = row.kv->n_tokens(), first = tokens_.size();
    const size_t n_rest = n_tokens - row.n_logits;
    for (const TokenId token : row.tokens) {
      TANDEM_ASSERT(token >= 0 && static_cast<size_t>(token) < config_.n_vocab, "tokens are of this model");
      tokens_.push_back(token);
    }
    if (row.n_logits > 0) {
      wanted_pieces_.push_back(
          {row.kv->blocks(), n_before + n_rest, first + n_rest, row.n_logits, wanted_.size()});
    }
    for (size_t i = n_rest; i < n_tokens; ++i) wanted_.push_back(static_cast<uint32_t>(first + i));
    pieces_.push_back({row.kv->blocks(), n_before, first, n_tokens, first});
    for (size_t i = 0, n = 0; i < n_tokens; i += n) {
      n = std::min(n_tokens - i, kBlockTokens - (n_before + i) % kBlockTokens);
      stores_.push_back({row.kv->blocks(), n_before + i, first + i, n, 0});
    }
    TANDEM_ASSERT(n_before + n_tokens <= row.kv->blocks().size() * kBlockTokens,
                  "KvCache::reserve() made room for the tokens");
    n_positions = std::max(n_positions, n_before + n_tokens);
  }
  const size_t n_rows_max = attention_rows_max(config_.n_heads / config_.n_kv_heads);
  attention_plan_.make(pieces_, n_rows_max);
  wanted_plan_.make(wanted_pieces_, n_rows_max);
  rope_.grow_to(n_positions);
  row_of_thread_.resize(pool_->n_threads());
}

void Decoder::embed() {
  n_rows_ = tokens_.size();
  attending_ = &attention_plan_;
  grown(x_, n_rows_ * config_.d_model);
  pool_->split(n_rows_, kRowsToShare, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      weights_.embedding.unpack(static_cast<size_t>(tokens_[i]), x().row(i));
    }
  });
}

void Decoder::set_input_normed(std::span<const float> gain) {
  input_.reshape(compute(), n_rows_, config_.d_model);
  const size_t n_tasks = n_rows_ < 2 * kRowsToShare ? 1 : pool_->n_threads();
  pool_->run(n_tasks, [&](size_t task, size_t thread) {
    float* const normed = grown(row_of_thread_[thread], config_.d_model);
    for (size_t i = n_rows_ * task / n_tasks; i < n_rows_ * (task + 1) / n_tasks; ++i) {
      simd().rms_norm(x().row(i).data(), gain.data(), config_.d_model, epsilon_, normed);
      input_.set_row(i, {normed, config_.d_model});
    }
  });
}

// q of all rows into qkv_, keys and values into the cache.
void Decoder::project_qkv(const LayerWeights& weights, size_t layer, KvCache& kv) {
  const size_t d_q = config_.n_heads * config_.d_head, d_kv = config_.n_kv_heads * config_.d_head;
  const size_t width = d_q + 2 * d_kv;
  set_input_normed(weights.input_norm);
  const Matrix qkv = {grown(qkv_, n_rows_ * width), n_rows_, width};
  multiply(*pool_, input_, weights.qkv, weights.qkv_bias, qkv);
  const auto store = [&](size_t i, size_t) {
    const AttentionPiece& run = stores_[i];
    for (size_t t = 0; t < run.n_rows; ++t) {
      const std::span<float> row = qkv.row(run.first_row + t);
      const std::span<float> q = row.first(d_q), k = row.subspan(d_q, d_kv);
      norm_heads(q, weights.q_norm, epsilon_);
      norm_heads(k, weights.k_norm, epsilon_);
      rope(rope_, static_cast<uint32_t>(run.first_position + t), q);
      rope(rope_, static_cast<uint32_t>(run.first_position + t), k);
    }
    const float* const k = qkv.row(run.first_row).data() + d_q;
    store_keys_values(kv, layer, run.blocks, run.first_position, run.n_rows, k, k + d_kv, width);
  };
  if (n_rows_ >= kRowsToShare) return pool_->run(stores_.size(), store);
  for (size_t i = 0; i < stores_.size(); ++i) store(i, 0);
}

// From here on, x has the wanted rows only.
void Decoder::keep_wanted() {
  for (size_t i = 0; i < wanted_.size(); ++i) {
    std::copy_n(x().row(wanted_[i]).data(), config_.d_model, x_.data() + i * config_.d_model);
  }
  n_rows_ = wanted_.size();
  attending_ = &wanted_plan_;
}

void Decoder::attend(const LayerWeights& weights, size_t layer, KvCache& kv) {
  if (n_rows_ == 0) return;
  const size_t d_q = config_.n_heads * config_.d_head, d_kv = config_.n_kv_heads * config_.d_head;
  const Matrix attended = {grown(attended_, n_rows_ * d_q), n_rows_, d_q};
  paged_attention(*pool_, kv, layer, *attending_, qkv_.data(), d_q + 2 * d_kv, attended, attention_scratch_);
  input_.reshape(compute(), n_rows_, d_q);
  pool_->split(n_rows_, kRowsToShare, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) input_.set_row(i, attended.row(i));
  });
  multiply_add(*pool_, input_, weights.o, x());
}

void Decoder::mlp(const LayerWeights& weights) {
  set_input_normed(weights.post_attention_norm);
  multiply_silu_gate(*pool_, input_, weights.gate_up, config_.d_ff, gated_);
  multiply_add(*pool_, gated_, weights.down, x());
}

}  // namespace tandem::engine
