#include "worker/engine/model/decoder.h"

#include <algorithm>
#include <cstring>

#include "shared/base/assert.h"
#include "worker/engine/kernels/elementwise.h"
#include "worker/engine/kernels/matmul.h"
#include "worker/engine/kernels/rms_norm.h"
#include "worker/engine/model/fingerprint.h"

namespace tandem::engine {
namespace {

constexpr size_t kRowsToShare = 4;  // small operations on fewer rows are not worth waking a thread

Matrix rows(Matrix x, size_t begin, size_t end) {
  return {x.data + begin * x.n_columns, end - begin, x.n_columns};
}
std::span<float> values(Matrix x) {
  return {x.data, x.n_rows * x.n_columns};
}

// The same memory with one head in each row.
Matrix heads(Matrix x, size_t d_head) {
  return {x.data, x.n_rows * x.n_columns / d_head, d_head};
}

}  // namespace

Result<std::unique_ptr<Model>> Decoder::load(Parts parts, const DecoderTraits& traits) {
  auto pool = std::make_unique<ThreadPool>(parts.options.n_threads);
  std::string fingerprint = model_fingerprint(parts.config, *parts.checkpoint, "f32");
  TANDEM_ASSIGN(DecoderWeights weights,
                load_decoder_weights(std::move(parts.checkpoint), parts.config, traits, *pool));
  return std::unique_ptr<Model>(
      new Decoder(std::move(parts.config), std::move(fingerprint), std::move(weights), std::move(pool)));
}

Decoder::Decoder(ModelConfig config, std::string fingerprint, DecoderWeights weights,
                 std::unique_ptr<ThreadPool> pool)
    : config_(std::move(config)),
      fingerprint_(std::move(fingerprint)),
      weights_(std::move(weights)),
      pool_(std::move(pool)),
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
  const Matrix x = activation(x_, tokens_.size(), config_.d_model);
  embed(weights_.embedding, tokens_, x);
  for (size_t layer = 0; layer < config_.n_layers; ++layer) {
    if (hidden != nullptr) hidden->emplace_back(values(x).begin(), values(x).end());
    attention_block(layer, kv);
    mlp_block(weights_.layers[layer]);
  }
  if (hidden != nullptr) {
    hidden->emplace_back(values(x).size());
    rms_norm(x, weights_.final_norm, static_cast<float>(config_.rms_epsilon),
             {hidden->back().data(), x.n_rows, x.n_columns});
  }
  head(logits);
  for (const BatchRow& row : batch) advance(*row.kv, row.tokens.size());
}

// Stacks the tokens of all rows and notes which sequence and position each belongs to.
void Decoder::plan(std::span<const BatchRow> batch) {
  pieces_.clear();
  positions_.clear();
  tokens_.clear();
  wanted_.clear();
  size_t n_positions = 0;
  for (const BatchRow& row : batch) {
    TANDEM_ASSERT(row.kv != nullptr && !row.tokens.empty(), "a row has a sequence and tokens");
    TANDEM_ASSERT(row.n_logits <= row.tokens.size(), "logits are wanted of tokens that are there");
    pieces_.push_back({row.kv->blocks(), row.kv->n_tokens(), tokens_.size(), row.tokens.size()});
    for (size_t i = 0; i < row.tokens.size(); ++i) {
      if (i + row.n_logits >= row.tokens.size()) wanted_.push_back(static_cast<uint32_t>(tokens_.size()));
      positions_.push_back(static_cast<uint32_t>(row.kv->n_tokens() + i));
      tokens_.push_back(row.tokens[i]);
    }
    const size_t n_after = row.kv->n_tokens() + row.tokens.size();
    TANDEM_ASSERT(n_after <= row.kv->blocks().size() * kBlockTokens,
                  "KvCache::reserve() made room for the tokens");
    n_positions = std::max(n_positions, n_after);
  }
  rope_.grow_to(n_positions);
}

void Decoder::attention_block(size_t layer, KvCache& kv) {
  const LayerWeights& weights = weights_.layers[layer];
  const size_t n_tokens = tokens_.size(), d_head = config_.d_head;
  const float epsilon = static_cast<float>(config_.rms_epsilon);
  const Matrix x = activation(x_, n_tokens, config_.d_model);
  const Matrix normed = activation(normed_, n_tokens, config_.d_model);
  const Matrix q = activation(q_, n_tokens, config_.n_heads * d_head);
  const Matrix k = activation(k_, n_tokens, config_.n_kv_heads * d_head);
  const Matrix v = activation(v_, n_tokens, config_.n_kv_heads * d_head);
  const Matrix attended = activation(attended_, n_tokens, config_.n_heads * d_head);
  const Matrix added = activation(added_, n_tokens, config_.d_model);

  pool_->split(n_tokens, kRowsToShare, [&](size_t begin, size_t end) {
    rms_norm(rows(x, begin, end), weights.input_norm, epsilon, rows(normed, begin, end));
  });
  matmul(*pool_, normed,
         {{weights.q, weights.q_bias, q}, {weights.k, weights.k_bias, k}, {weights.v, weights.v_bias, v}});
  pool_->split(n_tokens, kRowsToShare, [&](size_t begin, size_t end) {
    const Matrix q_rows = rows(q, begin, end), k_rows = rows(k, begin, end);
    if (!weights.q_norm.empty()) {
      rms_norm(heads(q_rows, d_head), weights.q_norm, epsilon, heads(q_rows, d_head));
      rms_norm(heads(k_rows, d_head), weights.k_norm, epsilon, heads(k_rows, d_head));
    }
    const std::span<const uint32_t> positions = std::span(positions_).subspan(begin, end - begin);
    rope(rope_, positions, q_rows);
    rope(rope_, positions, k_rows);
    for (const AttentionPiece& piece : pieces_) store_keys_values(kv, layer, piece, begin, end, k, v);
  });
  paged_attention(*pool_, kv, layer, pieces_, q, attended, attention_scratch_);
  matmul(*pool_, attended, {{weights.o, {}, added}});
  add(values(x), values(added));
}

void Decoder::mlp_block(const LayerWeights& weights) {
  const size_t n_tokens = tokens_.size();
  const Matrix x = activation(x_, n_tokens, config_.d_model);
  const Matrix normed = activation(normed_, n_tokens, config_.d_model);
  const Matrix gate = activation(gate_, n_tokens, config_.d_ff);
  const Matrix up = activation(up_, n_tokens, config_.d_ff);
  const Matrix added = activation(added_, n_tokens, config_.d_model);

  pool_->split(n_tokens, kRowsToShare, [&](size_t begin, size_t end) {
    rms_norm(rows(x, begin, end), weights.post_attention_norm, static_cast<float>(config_.rms_epsilon),
             rows(normed, begin, end));
  });
  matmul(*pool_, normed, {{weights.gate, {}, gate}, {weights.up, {}, up}});
  pool_->split(n_tokens, kRowsToShare, [&](size_t begin, size_t end) {
    silu_gate(values(rows(gate, begin, end)), values(rows(up, begin, end)));
  });
  matmul(*pool_, gate, {{weights.down, {}, added}});
  add(values(x), values(added));
}

void Decoder::head(Logits& logits) {
  const Matrix x = activation(x_, tokens_.size(), config_.d_model);
  const Matrix wanted = activation(wanted_x_, wanted_.size(), config_.d_model);
  for (size_t i = 0; i < wanted_.size(); ++i) {
    const std::span<float> from = x.row(wanted_[i]);
    std::copy(from.begin(), from.end(), wanted.row(i).begin());
  }
  rms_norm(wanted, weights_.final_norm, static_cast<float>(config_.rms_epsilon), wanted);
  logits.n_vocab = config_.n_vocab;
  logits.values.resize(wanted.n_rows * config_.n_vocab);
  matmul(*pool_, wanted, {{weights_.head, {}, {logits.values.data(), wanted.n_rows, config_.n_vocab}}});
}

Matrix Decoder::activation(std::vector<float>& memory, size_t n_rows, size_t n_columns) const {
  if (memory.size() < n_rows * n_columns) memory.resize(n_rows * n_columns);
  return {memory.data(), n_rows, n_columns};
}

}  // namespace tandem::engine
