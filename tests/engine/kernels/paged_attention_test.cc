#include "worker/engine/kernels/paged_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/engine/kv/kv_writer.h"
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
      store_keys_values(cache, layer, sequences[i].blocks(), p, 1, &wanted[i].keys[p * width],
                        &wanted[i].values[p * width], width);
    }
    const size_t first = q.size() / (n_heads * d_head);
    pieces.push_back({sequences[i].blocks(), wanted[i].n_before, first, wanted[i].n_rows, first});
    const std::vector<float> rows = random.floats(wanted[i].n_rows * n_heads * d_head);
    q.insert(q.end(), rows.begin(), rows.end());
  }

  const size_t n_tokens = q.size() / (n_heads * d_head);
  std::vector<float> out(q.size(), std::nanf(""));
  AttentionScratch scratch;
  AttentionPlan plan;
  plan.make(pieces, attention_rows_max(n_heads / n_kv_heads));
  paged_attention(pool, cache, layer, plan, q.data(), n_heads * d_head,
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

// Sequences that go on from one text, by themselves and in one batch: a group reads the common blocks once,
// and no bit of a row differs.
TEST_P(PagedAttentionTest, SequencesThatShareTheirBeginningGetTheSameBitsTogetherAsAlone) {
  const auto [n_heads, n_kv_heads, d_head] = GetParam();
  const size_t width = n_kv_heads * d_head, q_width = n_heads * d_head;
  for (const KvType type : {KvType::kF32, KvType::kF16}) {
    RandomValues random(static_cast<uint32_t>(d_head));
    ThreadPool pool(2);
    KvCache cache = must(KvCache::create({1, n_kv_heads, d_head, type}, 64));
    const auto store = [&](const KvSequence& sequence, size_t begin, size_t end) {
      for (size_t p = begin; p < end; ++p) {
        store_keys_values(cache, 0, sequence.blocks(), p, 1, random.floats(width).data(),
                          random.floats(width).data(), width);
      }
    };
    KvSequence text = cache.make_sequence();
    ASSERT_TRUE(cache.reserve(text, 70));
    store(text, 0, 70);
    testing::KvWriter::pretend(text, 70);

    // Rows that follow the text's first tokens; 64 of these are two full blocks.
    struct Going {
      size_t n_of_text, n_more, n_rows;
    };
    const std::vector<Going> going = {{70, 1, 1}, {64, 1, 1}, {70, 40, 1},
                                      {66, 9, 9}, {40, 3, 2}, {70, 2, 1}};
    std::vector<KvSequence> sequences;
    std::vector<AttentionPiece> pieces;
    size_t n_all_rows = 0;
    for (const Going& one : going) {
      sequences.push_back(must(cache.fork(text, one.n_of_text)));
      ASSERT_TRUE(cache.reserve(sequences.back(), one.n_more));
      const size_t n_all = one.n_of_text + one.n_more;
      store(sequences.back(), one.n_of_text, n_all);
      pieces.push_back({sequences.back().blocks(), n_all - one.n_rows, n_all_rows, one.n_rows, n_all_rows});
      n_all_rows += one.n_rows;
    }
    const std::vector<float> q = random.floats(n_all_rows * q_width);
    const auto attend = [&](std::span<const AttentionPiece> some, std::vector<float>& out) {
      AttentionScratch scratch;
      AttentionPlan plan;
      plan.make(some, attention_rows_max(n_heads / n_kv_heads));
      paged_attention(pool, cache, 0, plan, q.data(), q_width, {out.data(), n_all_rows, q_width}, scratch);
      return plan.groups().size();
    };
    std::vector<float> together(n_all_rows * q_width), alone(n_all_rows * q_width);
    EXPECT_LT(attend(pieces, together), pieces.size()) << "some are grouped";
    for (const AttentionPiece& piece : pieces) attend({&piece, 1}, alone);
    EXPECT_EQ(together, alone);
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
    store_keys_values(cache, 0, sequence.blocks(), 33, 1, keys.data(), values.data(), 80);

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

// Many tokens at once, over the end of a block, with another distance between their rows.
TEST(StoreKeysValuesTest, ManyTokensAtOnceLieWhereTheyWouldOneByOne) {
  constexpr size_t kWidth = 2 * 40, kStride = 300, kTokens = 75, kFirst = 20;
  for (const KvType type : {KvType::kF32, KvType::kF16}) {
    RandomValues random(5);
    KvCache cache = must(KvCache::create({1, 2, 40, type}, 8));
    KvSequence one_by_one = cache.make_sequence(), at_once = cache.make_sequence();
    const std::vector<float> rows = random.floats(kTokens * kStride);
    const float* const keys = rows.data() + 7;
    const float* const values = keys + 2 * kWidth;
    for (KvSequence* sequence : {&one_by_one, &at_once}) {
      ASSERT_TRUE(cache.reserve(*sequence, kFirst + kTokens));
    }
    for (size_t t = 0; t < kTokens; ++t) {
      store_keys_values(cache, 0, one_by_one.blocks(), kFirst + t, 1, keys + t * kStride,
                        values + t * kStride, kStride);
    }
    store_keys_values(cache, 0, at_once.blocks(), kFirst, kTokens, keys, values, kStride);
    for (size_t b = 0; b < at_once.blocks().size(); ++b) {
      for (size_t head = 0; head < 2; ++head) {
        const size_t n = cache.shape().head_bytes();
        const uint32_t x = one_by_one.blocks()[b], y = at_once.blocks()[b];
        EXPECT_EQ(std::memcmp(cache.keys(x, 0, head), cache.keys(y, 0, head), n), 0) << b;
        EXPECT_EQ(std::memcmp(cache.values(x, 0, head), cache.values(y, 0, head), n), 0) << b;
      }
    }
  }
}

}  // namespace
}  // namespace tandem::engine
