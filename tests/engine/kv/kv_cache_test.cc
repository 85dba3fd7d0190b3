#include "worker/engine/kv/kv_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>

#include "tests/engine/kv/kv_writer.h"
#include "tests/engine/support/golden.h"
#include "tests/engine/support/random_values.h"

namespace tandem::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::must;

using Writer = testing::KvWriter;
constexpr KvShape kShape = testing::kSmallShape;

TEST(KvCacheTest, GivesASequenceTheBlocksThatItsTokensNeed) {
  KvCache cache = must(KvCache::create(kShape, 4));
  KvSequence sequence = cache.make_sequence();
  EXPECT_THAT(sequence.blocks(), ElementsAre());
  Writer::append(cache, sequence, 1, 100);
  EXPECT_EQ(cache.n_blocks_free(), 3u);
  Writer::append(cache, sequence, 31, 100);
  EXPECT_EQ(cache.n_blocks_free(), 3u);
  Writer::append(cache, sequence, 1, 100);
  EXPECT_EQ(cache.n_blocks_free(), 2u);
  EXPECT_EQ(sequence.n_tokens(), 33u);
  for (size_t p = 0; p < 33; ++p) EXPECT_EQ(Writer::value_at(cache, sequence, p), 100);
}

TEST(KvCacheTest, RunsFullWithoutHarmAndWorksAgainWhenBlocksComeBack) {
  KvCache cache = must(KvCache::create(kShape, 3));
  KvSequence large = cache.make_sequence(), small = cache.make_sequence();
  Writer::append(cache, large, 64, 100);
  Writer::append(cache, small, 32, 200);
  EXPECT_EQ(cache.n_blocks_free(), 0u);

  const Result<void> more = cache.reserve(small, 1);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, ErrorCode::kFull);
  EXPECT_THAT(more.error().text, HasSubstr("expected 1 free KV blocks, found 0 of 3"));
  EXPECT_EQ(small.n_tokens(), 32u);
  EXPECT_EQ(small.blocks().size(), 1u);
  EXPECT_TRUE(cache.reserve(small, 0));

  large = cache.make_sequence();  // the old blocks go back at once
  EXPECT_EQ(cache.n_blocks_free(), 2u);
  Writer::append(cache, small, 1, 200);
  for (size_t p = 0; p < 33; ++p) EXPECT_EQ(Writer::value_at(cache, small, p), 200);
}

// All or nothing: two of three blocks would be of no use.
TEST(KvCacheTest, LeavesASequenceAsItWasWhenThereIsNotEnough) {
  KvCache cache = must(KvCache::create(kShape, 2));
  KvSequence sequence = cache.make_sequence();
  EXPECT_FALSE(cache.reserve(sequence, 65));
  EXPECT_EQ(cache.n_blocks_free(), 2u);
  EXPECT_TRUE(cache.reserve(sequence, 64));
  EXPECT_TRUE(cache.reserve(sequence, 64));  // room that is there already is not taken twice
}

TEST(KvCacheTest, ForksShareFullBlocksAndCopyAPartlyFilledOne) {
  KvCache cache = must(KvCache::create(kShape, 5));
  KvSequence first = cache.make_sequence();
  Writer::append(cache, first, 70, 100);
  KvSequence second = must(cache.fork(first, 70));
  EXPECT_EQ(cache.n_blocks_free(), 1u);
  EXPECT_THAT(second.blocks().first(2), ElementsAre(first.blocks()[0], first.blocks()[1]));
  EXPECT_NE(second.blocks()[2], first.blocks()[2]);

  Writer::append(cache, first, 5, 300);
  Writer::append(cache, second, 5, 200);
  for (size_t p = 0; p < 75; ++p) {
    EXPECT_EQ(Writer::value_at(cache, first, p), p < 70 ? 100 : 300);
    EXPECT_EQ(Writer::value_at(cache, second, p), p < 70 ? 100 : 200);
  }
  KvSequence third = must(cache.fork(first, 64));  // a border: nothing to copy
  EXPECT_EQ(cache.n_blocks_free(), 1u);
  KvSequence fourth = must(cache.fork(first, 40));  // the last block
  const auto fifth = cache.fork(first, 40);
  ASSERT_FALSE(fifth);
  EXPECT_EQ(fifth.error().code, ErrorCode::kFull);
}

TEST(KvCacheTest, KeepsASharedBlockUntilItsLastOwnerIsGone) {
  KvCache cache = must(KvCache::create(kShape, 3));
  std::optional<KvSequence> first = cache.make_sequence();
  Writer::append(cache, *first, 64, 100);
  KvSequence second = must(cache.fork(*first, 64));
  first.reset();
  EXPECT_EQ(cache.n_blocks_free(), 1u);
  for (size_t p = 0; p < 64; ++p) EXPECT_EQ(Writer::value_at(cache, second, p), 100);
  cache.truncate(second, 33);
  EXPECT_EQ(cache.n_blocks_free(), 1u);
  cache.truncate(second, 32);
  EXPECT_EQ(cache.n_blocks_free(), 2u);
  cache.truncate(second, 0);
  EXPECT_EQ(cache.n_blocks_free(), 3u);
}

// Truncating into a shared block is the one way to a partly filled block with two owners.
TEST(KvCacheTest, CopiesASharedBlockBeforeATruncatedSequenceWritesIntoIt) {
  KvCache cache = must(KvCache::create(kShape, 4));
  KvSequence first = cache.make_sequence();
  Writer::append(cache, first, 64, 100);
  KvSequence second = must(cache.fork(first, 64));
  cache.truncate(second, 40);
  EXPECT_EQ(cache.n_blocks_free(), 2u);
  Writer::append(cache, second, 24, 200);
  EXPECT_EQ(cache.n_blocks_free(), 1u);
  for (size_t p = 0; p < 64; ++p) {
    EXPECT_EQ(Writer::value_at(cache, first, p), 100);
    EXPECT_EQ(Writer::value_at(cache, second, p), p < 40 ? 100 : 200);
  }

  KvSequence third = must(cache.fork(first, 64));
  cache.truncate(third, 50);
  ASSERT_TRUE(cache.reserve(third, 1));
  KvSequence fourth = must(cache.fork(first, 64));
  cache.truncate(fourth, 50);
  EXPECT_EQ(cache.reserve(fourth, 1).error().code, ErrorCode::kFull);  // the copy needs a block, too
  EXPECT_EQ(Writer::value_at(cache, fourth, 49), 100);
}

TEST(KvCacheTest, LetsSequencesOutliveTheCache) {
  std::optional<KvCache> cache = must(KvCache::create(kShape, 2));
  KvSequence sequence = cache->make_sequence();
  ASSERT_TRUE(cache->reserve(sequence, 40));
  cache.reset();
  EXPECT_EQ(sequence.blocks().size(), 2u);
  KvSequence moved = std::move(sequence);
  EXPECT_EQ(moved.blocks().size(), 2u);
}

// Memory is reserved, not used: a cache far larger than this machine's memory can be made.
TEST(KvCacheTest, DoesNotTouchWhatNobodyUses) {
  const KvShape shape{36, 8, 128};
  KvCache cache = must(KvCache::create(shape, 100'000));  // 943 GB
  KvSequence sequence = cache.make_sequence();
  ASSERT_TRUE(cache.reserve(sequence, 1));
  cache.keys(sequence.blocks()[0], 35, 7)[0] = std::byte{1};
  EXPECT_EQ(sequence.blocks()[0], 0u);  // the lowest, so that memory is used from one end
}

TEST(KvCacheTest, SaysWhenASizeIsImpossible) {
  const auto cache = KvCache::create({1000, 1000, 1000}, UINT32_MAX);
  ASSERT_FALSE(cache);
  EXPECT_EQ(cache.error().code, ErrorCode::kIo);
  EXPECT_EQ(KvCache::create(kShape, size_t{1} << 40).error().code, ErrorCode::kIo);
}

// Whatever is done in whatever order: tokens keep their values, and every block is accounted for.
TEST(KvCacheTest, KeepsEveryTokenThroughRandomForksAndCuts) {
  testing::RandomValues random(20);
  KvCache cache = must(KvCache::create(kShape, 24));
  struct Kept {
    KvSequence sequence;
    std::vector<float> values;
  };
  std::vector<Kept> kept;
  for (int round = 0; round < 4000; ++round) {
    if (kept.empty() || random.below(8) == 0) kept.push_back({cache.make_sequence(), {}});
    Kept& one = kept[random.below(kept.size())];
    const size_t n = random.below(one.values.size() + 1);
    switch (random.below(4)) {
      case 0:
      case 1: {
        const size_t n_more = 1 + random.below(50);
        const auto value = static_cast<float>(round * 10);
        if (!cache.reserve(one.sequence, n_more)) {
          kept.erase(kept.begin());
          break;
        }
        Writer::append(cache, one.sequence, n_more, value);
        one.values.insert(one.values.end(), n_more, value);
        break;
      }
      case 2:
        cache.truncate(one.sequence, n);
        one.values.resize(n);
        break;
      case 3:
        if (auto fork = cache.fork(one.sequence, n)) {
          std::vector<float> values(one.values.begin(), one.values.begin() + static_cast<ptrdiff_t>(n));
          kept.push_back({std::move(*fork), std::move(values)});
        }
        break;
    }
    std::set<uint32_t> used;
    for (const Kept& each : kept) {
      ASSERT_EQ(each.sequence.n_tokens(), each.values.size());
      used.insert(each.sequence.blocks().begin(), each.sequence.blocks().end());
      for (size_t p = 0; p < each.values.size(); p += 7) {
        ASSERT_EQ(Writer::value_at(cache, each.sequence, p), each.values[p]) << "round " << round;
      }
    }
    ASSERT_EQ(cache.n_blocks_free(), 24 - used.size());
  }
  kept.clear();
  EXPECT_EQ(cache.n_blocks_free(), 24u);
}

}  // namespace
}  // namespace tandem::engine
