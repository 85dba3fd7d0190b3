#include "worker/engine/model/decoder_head.h"

#include <algorithm>

#include "shared/base/assert.h"
#include "worker/engine/kernels/packed_matmul.h"

namespace tandem::engine {

void DecoderHead::run(ThreadPool& pool, const PackedMatrix& weights, std::span<const BatchRow> batch,
                      ConstMatrix normed, Logits& logits) {
  // Rows that want the same are computed together, and lie together in `values`.
  std::map<std::vector<TokenId>, std::vector<uint32_t>> groups;
  uint32_t row = 0;
  for (const BatchRow& one : batch) {
    std::vector<uint32_t>& group = groups[{one.wanted.begin(), one.wanted.end()}];
    for (size_t i = 0; i < one.n_logits; ++i) group.push_back(row++);
  }
  TANDEM_ASSERT(row == normed.n_rows, "one row for each wanted token");
  logits.places.assign(row, {});
  size_t n_values = 0;
  for (const auto& [wanted, rows] : groups) {
    const size_t n = wanted.empty() ? weights.n_outputs : wanted.size();
    for (const uint32_t i : rows) {
      logits.places[i] = {n_values, n};
      n_values += n;
    }
  }
  logits.values.resize(n_values);
  for (const auto& [wanted, rows] : groups) {
    if (rows.empty()) continue;
    const PackedMatrix& matrix = wanted.empty() ? weights : subset(weights, wanted);
    multiply_rows(pool, matrix, normed, rows,
                  {logits.values.data() + logits.places[rows.front()].begin, rows.size(), matrix.n_outputs});
  }
}

const PackedMatrix& DecoderHead::subset(const PackedMatrix& weights, std::span<const TokenId> tokens) {
  const auto [found, is_new] = subsets_.try_emplace({tokens.begin(), tokens.end()});
  Subset& subset = found->second;
  subset.used = ++n_uses_;
  if (!is_new) return subset.weights;

  subset.weights = {weights.type, tokens.size(), weights.n_inputs, nullptr};
  auto memory = FloatBuffer::reserve(subset.weights.n_bytes() / sizeof(float));
  TANDEM_ASSERT(memory, "there is memory for the weights of a few tokens");
  subset.memory = std::move(*memory);
  std::byte* const data = reinterpret_cast<std::byte*>(subset.memory.data());
  pack_outputs(weights, tokens, data);
  subset.weights.data = data;
  if (subsets_.size() > kSubsetsMax) {
    subsets_.erase(std::min_element(subsets_.begin(), subsets_.end(), [](const auto& a, const auto& b) {
      return a.second.used < b.second.used;
    }));
  }
  return subset.weights;
}

void DecoderHead::multiply_rows(ThreadPool& pool, const PackedMatrix& weights, ConstMatrix normed,
                                std::span<const uint32_t> rows, Matrix out) {
  input_.reshape(weights.type, rows.size(), weights.n_inputs);
  for (size_t i = 0; i < rows.size(); ++i) input_.set_row(i, normed.row(rows[i]));
  multiply(pool, input_, weights, {}, out);
}

}  // namespace tandem::engine
