#include "worker/engine/model/bert.h"

#include <algorithm>

#include "shared/base/assert.h"
#include "worker/engine/kernels/matmul.h"
#include "worker/engine/model/bert_ops.h"

namespace tandem::engine {
namespace {

constexpr size_t kRowsToShare = 8;  // small operations on fewer rows are not worth waking a thread

Matrix sized(std::vector<float>& values, size_t n_rows, size_t n_columns) {
  if (values.size() < n_rows * n_columns) values.resize(n_rows * n_columns);
  return {values.data(), n_rows, n_columns};
}
Matrix rows(Matrix x, size_t begin, size_t end) {
  return {x.data + begin * x.n_columns, end - begin, x.n_columns};
}
MatmulPart part(const BertLinear& linear, Matrix out) {
  return {linear.weights, linear.bias, out};
}

}  // namespace

Bert::Bert(BertConfig config, BertWeights weights, size_t n_threads)
    : config_(config), weights_(std::move(weights)), pool_(n_threads) {}

ConstMatrix Bert::run(std::span<const std::span<const TokenId>> texts) {
  size_t n_tokens = 0;
  for (const std::span<const TokenId> text : texts) {
    TANDEM_ASSERT(!text.empty() && text.size() <= config_.n_positions_max, "a text fits the positions");
    n_tokens += text.size();
  }
  const Matrix x = sized(x_, n_tokens, config_.d_model);
  embed(texts, x);
  for (const BertLayer& layer : weights_.layers) run_layer(layer, texts, x);
  return x;
}

void Bert::embed(std::span<const std::span<const TokenId>> texts, Matrix x) {
  size_t t = 0;
  for (const std::span<const TokenId> text : texts) {
    for (size_t position = 0; position < text.size(); ++position, ++t) {
      const TokenId id = text[position];
      TANDEM_ASSERT(id >= 0 && static_cast<size_t>(id) < config_.n_vocab, "ids are in the vocabulary");
      const auto word = weights_.words.row(static_cast<size_t>(id)), place = weights_.positions.row(position);
      const std::span<float> out = x.row(t);
      for (size_t i = 0; i < out.size(); ++i) out[i] = word[i] + weights_.type[i] + place[i];
    }
  }
  layer_norm(x, {}, weights_.embedding_norm.gain, weights_.embedding_norm.bias, config_.epsilon);
}

void Bert::attend(std::span<const std::span<const TokenId>> texts, Matrix q, Matrix k, Matrix v, Matrix out) {
  const size_t d_model = config_.d_model, d_head = config_.d_head(), n_heads = config_.n_heads;
  size_t longest = 0;
  std::vector<size_t> first_rows;
  for (size_t row = 0; const std::span<const TokenId> text : texts) {
    first_rows.push_back(row);
    row += text.size();
    longest = std::max(longest, text.size());
  }
  const Matrix scratch = sized(scratch_, pool_.n_threads(), longest * (d_head + 1));
  pool_.run(texts.size() * n_heads, [&](size_t task, size_t thread) {
    const size_t text = task / n_heads;
    const size_t at = first_rows[text] * d_model + task % n_heads * d_head;
    attend_to_all({q.data + at, k.data + at, v.data + at, out.data + at, texts[text].size(), d_model, d_head},
                  scratch.row(thread));
  });
}

void Bert::run_layer(const BertLayer& layer, std::span<const std::span<const TokenId>> texts, Matrix x) {
  const size_t n = x.n_rows, d_model = config_.d_model;
  const Matrix q = sized(q_, n, d_model), k = sized(k_, n, d_model), v = sized(v_, n, d_model),
               out = sized(out_, n, d_model), wide = sized(wide_, n, config_.d_ff);
  const auto add_and_normalise = [&](ConstMatrix added, const BertNorm& norm) {
    pool_.split(n, kRowsToShare, [&](size_t begin, size_t end) {
      layer_norm(rows(x, begin, end), {added.data + begin * d_model, end - begin, d_model}, norm.gain,
                 norm.bias, config_.epsilon);
    });
  };

  matmul(pool_, x, {part(layer.q, q), part(layer.k, k), part(layer.v, v)});
  attend(texts, q, k, v, out);
  matmul(pool_, out, {part(layer.o, q)});  // q is free again
  add_and_normalise(q, layer.attention_norm);

  matmul(pool_, x, {part(layer.up, wide)});
  pool_.split(n, kRowsToShare, [&](size_t begin, size_t end) {
    gelu({wide.data + begin * wide.n_columns, (end - begin) * wide.n_columns});
  });
  matmul(pool_, wide, {part(layer.down, out)});
  add_and_normalise(out, layer.output_norm);
}

}  // namespace tandem::engine
