#include "worker/engine/model/bert.h"

#include <algorithm>

#include "shared/base/assert.h"
#include "worker/engine/kernels/packed_matmul.h"
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

}  // namespace

Bert::Bert(BertConfig config, BertWeights weights, size_t n_threads)
    : config_(config), weights_(std::move(weights)), pool_(n_threads) {}

ConstMatrix Bert::run(Texts texts) {
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

void Bert::embed(Texts texts, Matrix x) {
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
  normalise(x, weights_.embedding_norm);
}

// out = linear(x)
void Bert::project(const BertLinear& linear, ConstMatrix x, Matrix out) {
  input_.reshape(linear.weights.type, x.n_rows, x.n_columns);
  pool_.split(x.n_rows, kRowsToShare, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) input_.set_row(t, x.row(t));
  });
  multiply(pool_, input_, linear.weights, linear.bias, out);
}

// out += linear(x)
void Bert::project_onto(const BertLinear& linear, ConstMatrix x, Matrix out) {
  input_.reshape(linear.weights.type, x.n_rows, x.n_columns);
  pool_.split(x.n_rows, kRowsToShare, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      input_.set_row(t, x.row(t));
      const std::span<float> row = out.row(t);
      for (size_t i = 0; i < row.size(); ++i) row[i] += linear.bias[i];
    }
  });
  multiply_add(pool_, input_, linear.weights, out);
}

void Bert::normalise(Matrix x, const BertNorm& norm) {
  pool_.split(x.n_rows, kRowsToShare, [&](size_t begin, size_t end) {
    layer_norm(rows(x, begin, end), norm.gain, norm.bias, config_.epsilon);
  });
}

void Bert::attend(Texts texts, ConstMatrix qkv, Matrix out) {
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
    const size_t text = task / n_heads, first_row = first_rows[text], column = task % n_heads * d_head;
    const float* const q = qkv.row(first_row).data() + column;
    attend_to_all({.q = q,
                   .k = q + d_model,
                   .v = q + 2 * d_model,
                   .out = out.row(first_row).data() + column,
                   .n_tokens = texts[text].size(),
                   .in_stride = qkv.n_columns,
                   .out_stride = out.n_columns,
                   .d_head = d_head},
                  scratch.row(thread));
  });
}

void Bert::run_layer(const BertLayer& layer, Texts texts, Matrix x) {
  const size_t n = x.n_rows;
  const Matrix qkv = sized(qkv_, n, 3 * config_.d_model), out = sized(out_, n, config_.d_model),
               wide = sized(wide_, n, config_.d_ff);
  project(layer.qkv, x, qkv);
  attend(texts, qkv, out);
  project_onto(layer.o, out, x);
  normalise(x, layer.attention_norm);

  project(layer.up, x, wide);
  pool_.split(n, kRowsToShare, [&](size_t begin, size_t end) {
    gelu({wide.data + begin * wide.n_columns, (end - begin) * wide.n_columns});
  });
  project_onto(layer.down, wide, x);
  normalise(x, layer.output_norm);
}

}  // namespace tandem::engine
