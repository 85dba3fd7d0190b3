#include "worker/engine/kernels/paged_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/support/golden.h"
#include "tests/engine/support/random_values.h"
#include "worker/engine/tensor/element_type.h"

namespace tandem::engine {
namespace {

using testing::must;
using testing::RandomValues;

// out[t] of one head, as the formula says it, from keys and values that lie in one row.
std::vector<double> attend_plainly(std::span<const float> q, const std::vector<float>& keys,
                                   const std::vector<float>& values, size_t n_seen, size_t kv_head,
                                   const KvShape& shape) {
  const size_t d_head = shape.d_head, width = shape.n_kv_heads * d_head;
  std::vector<double> weights(n_seen), out(d_head);
  double sum = 0;
  for (size_t j = 0; j < n_seen; ++j) {
    double dot = 0;
    for (size_t i = 0; i < d_head; ++i)
      dot += static_cast<double>(q[i]) * keys[j * width + kv_head * d_head + i];
    sum += weights[j] = std::exp(dot / std::sqrt(static_cast<double>(d_head)));
  }
  for (size_t j = 0; j < n_seen; ++j) {
    for (size_t i = 0; i < d_head; ++i) out[i] += weights[j] / sum * values[j * width + kv_head * d_head + i];
  }
  return out;
}

struct Case {
  size_t n_heads, n_kv_heads, d_head;
};

class PagedAttentionTest : public ::testing::TestWithParam<Case> {};

// Sequences of a ragged batch: nothing before and one token; a piece over several tiles; one token over many
// blocks; a piece that begins and ends inside blocks. Each is filled in the order of the others, so blocks
// are interleaved.
TEST_P(PagedAttentionTest, GivesEachRowTheWeightedSumOfWhatItMaySee) {
  const auto [n_heads, n_kv_heads, d_head] = GetParam();
  const KvShape shape{2, n_kv_heads, d_head};
  const size_t layer = 1;
  RandomValues random(static_cast<uint32_t>(n_heads * 1000 + d_head));
  ThreadPool pool(3);
  KvCache cache = must(KvCache::create(shape, 40));

  struct Wanted {
    size_t n_before, n_rows;
    std::vector<float> keys = {}, values = {};
  };
  std::vector<Wanted> wanted = {{0, 1}, {0, 70}, {200, 1}, {37, 50}};
  std::vector<KvSequence> sequences;
  for (size_t i = 0; i < wanted.size(); ++i) sequences.push_back(cache.make_sequence());
  for (int turn = 0; turn < 2; ++turn) {  // all first blocks, then the rest
    for (size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_TRUE(cache.reserve(sequences[i], turn == 0 ? 1 : wanted[i].n_before + wanted[i].n_rows));
    }
  }

  const size_t width = n_kv_heads * d_head;
  std::vector<AttentionPiece> pieces;
  std::vector<float> q;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const size_t n_all = wanted[i].n_before + wanted[i].n_rows;
    wanted[i].keys = random.floats(n_all * width);
    wanted[i].values = random.floats(n_all * width);
    for (size_t p = 0; p < n_all; ++p) {
      store_keys_values(cache, layer, sequences[i].blocks(), p,
                        std::span(wanted[i].keys).subspan(p * width, width),
                        std::span(wanted[i].values).subspan(p * width, width));
    }
    const size_t first = q.size() / (n_heads * d_head);
    pieces.push_back({sequences[i].blocks(), wanted[i].n_before, first, wanted[i].n_rows, first});
    const std::vector<float> rows = random.floats(wanted[i].n_rows * n_heads * d_head);
    q.insert(q.end(), rows.begin(), rows.end());
  }

  const size_t n_tokens = q.size() / (n_heads * d_head);
  std::vector<float> out(q.size(), std::nanf(""));
  AttentionScratch scratch;
  paged_attention(pool, cache, layer, pieces, q.data(), n_heads * d_head,
                  {out.data(), n_tokens, n_heads * d_head}, scratch);

  for (size_t i = 0; i < wanted.size(); ++i) {
    for (size_t row = 0; row < wanted[i].n_rows; ++row) {
      for (size_t head = 0; head < n_heads; ++head) {
        const size_t at = ((pieces[i].first_row + row) * n_heads + head) * d_head;
        const std::vector<double> expected =
            attend_plainly(std::span(q).subspan(at, d_head), wanted[i].keys, wanted[i].values,
                           wanted[i].n_before + row + 1, head * n_kv_heads / n_heads, shape);
        for (size_t j = 0; j < d_head; ++j) ASSERT_NEAR(out[at + j], expected[j], 1e-5) << i << " " << row;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, PagedAttentionTest,
                         ::testing::Values(Case{1, 1, 2}, Case{4, 4, 16}, Case{6, 2, 16}, Case{4, 1, 128},
                                           Case{2, 1, 200}));

// Keys lie with 32 tokens side by side, values in panels of 32 dimensions.
TEST(StoreKeysValuesTest, PutsATokenWhereTheTilesReadIt) {
  for (const KvType type : {KvType::kF32, KvType::kF16}) {
    KvCache cache = must(KvCache::create({1, 2, 40, type}, 2));
    KvSequence sequence = cache.make_sequence();
    ASSERT_TRUE(cache.reserve(sequence, 40));
    std::vector<float> keys(80), values(80);
    for (size_t i = 0; i < 80; ++i) keys[i] = static_cast<float>(i), values[i] = static_cast<float>(i) + 0.5f;
    store_keys_values(cache, 0, sequence.blocks(), 33, keys, values);

    const auto at = [&](const std::byte* memory, size_t i) {
      return type == KvType::kF32 ? reinterpret_cast<const float*>(memory)[i]
                                  : widen_f16(reinterpret_cast<const uint16_t*>(memory)[i]);
    };
    const uint32_t block = sequence.blocks()[1];
    for (size_t i = 0; i < 40; ++i) {
      ASSERT_EQ(at(cache.keys(block, 0, 1), i * 32 + 1), keys[40 + i]) << i;
      ASSERT_EQ(at(cache.values(block, 0, 1), i / 32 * 1024 + 32 + i % 32), values[40 + i]) << i;
      ASSERT_EQ(at(cache.keys(block, 0, 1), i * 32), 0) << "the slot before";
    }
  }
}

}  // namespace
}  // namespace tandem::engine
