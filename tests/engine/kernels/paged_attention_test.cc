#include "worker/engine/kernels/paged_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/support/golden.h"
#include "tests/engine/support/random_values.h"

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
    const AttentionPiece all{sequences[i].blocks(), 0, 0, n_all};
    store_keys_values(cache, layer, all, 0, n_all, {wanted[i].keys.data(), n_all, width},
                      {wanted[i].values.data(), n_all, width});
    pieces.push_back(
        {sequences[i].blocks(), wanted[i].n_before, q.size() / (n_heads * d_head), wanted[i].n_rows});
    const std::vector<float> rows = random.floats(wanted[i].n_rows * n_heads * d_head);
    q.insert(q.end(), rows.begin(), rows.end());
  }

  const size_t n_tokens = q.size() / (n_heads * d_head);
  std::vector<float> out(q.size(), std::nanf(""));
  AttentionScratch scratch;
  paged_attention(pool, cache, layer, pieces, {q.data(), n_tokens, n_heads * d_head},
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
                         ::testing::Values(Case{1, 1, 2}, Case{4, 4, 16}, Case{6, 2, 16}, Case{4, 1, 128}));

TEST(StoreKeysValuesTest, WritesOnlyTheRowsOfItsSlice) {
  KvCache cache = must(KvCache::create({1, 1, 2}, 2));
  KvSequence sequence = cache.make_sequence();
  ASSERT_TRUE(cache.reserve(sequence, 40));
  const std::vector<float> k(10 * 2, 1), v(10 * 2, 2);
  const AttentionPiece piece{sequence.blocks(), 30, 3, 5};  // rows 3..7 are positions 30..34
  store_keys_values(cache, 0, piece, 4, 6, {k.data(), 10, 2}, {v.data(), 10, 2});

  const uint32_t first = sequence.blocks()[0], second = sequence.blocks()[1];
  EXPECT_EQ(cache.keys(first, 0, 0)[30 * 2], 0);
  EXPECT_EQ(cache.keys(first, 0, 0)[31 * 2], 1);
  EXPECT_EQ(cache.values(second, 0, 0)[0], 2);
  EXPECT_EQ(cache.values(second, 0, 0)[1 * 2], 0);
}

}  // namespace
}  // namespace tandem::engine
