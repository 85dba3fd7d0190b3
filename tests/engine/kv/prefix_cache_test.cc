// The KV cache as a cache: what one sequence computed, another one finds.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/engine/kv/kv_writer.h"
#include "tests/engine/support/golden.h"
#include "tests/engine/support/random_values.h"
#include "worker/engine/kv/kv_cache.h"

namespace tandem::engine {
namespace {

using testing::must;
using Writer = testing::KvWriter;

Tokens numbers(TokenId first, size_t n) {
  Tokens tokens(n);
  for (size_t i = 0; i < n; ++i) tokens[i] = first + static_cast<TokenId>(i);
  return tokens;
}
Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class PrefixCacheTest : public ::testing::Test {
 protected:
  void make(size_t n_blocks) { cache_ = must(KvCache::create(testing::kSmallShape, n_blocks)); }

  // What a sequence does in its life: finds what is known, computes the rest, tells it.
  KvSequence run(const Tokens& tokens) {
    KvSequence sequence = cache_.begin_with(tokens);
    EXPECT_TRUE(Writer::is_right(cache_, sequence, tokens));
    Writer::fill(cache_, sequence, tokens);
    cache_.publish(sequence, tokens);
    EXPECT_TRUE(Writer::is_right(cache_, sequence, tokens));
    return sequence;
  }
  size_t known(const Tokens& tokens) const { return cache_.known_prefix(tokens).n_tokens; }

  KvCache cache_ = must(KvCache::create(testing::kSmallShape, 16));
};

TEST_F(PrefixCacheTest, KnowsNothingAtFirst) {
  EXPECT_EQ(known(numbers(0, 100)), 0u);
  EXPECT_EQ(known({}), 0u);
  const KvSequence sequence = cache_.begin_with(numbers(0, 100));
  EXPECT_EQ(sequence.n_tokens(), 0u);
  EXPECT_EQ(cache_.n_blocks_free(), 16u);
}

TEST_F(PrefixCacheTest, SharesFullBlocksAndCopiesWhatIsAlikeInTheNext) {
  const Tokens begin = numbers(0, 80);
  const KvSequence first = run(begin + numbers(500, 10));
  const KvSequence second = cache_.begin_with(begin + numbers(600, 10));
  EXPECT_EQ(second.n_tokens(), 80u);
  EXPECT_EQ(second.blocks()[0], first.blocks()[0]);
  EXPECT_EQ(second.blocks()[1], first.blocks()[1]);
  EXPECT_NE(second.blocks()[2], first.blocks()[2]) << "its own: it will be written";
  EXPECT_EQ(cache_.n_blocks_free(), 12u);
}

TEST_F(PrefixCacheTest, KeepsWhatASequenceLeavesBehind) {
  const Tokens text = numbers(0, 70);
  { const KvSequence gone = run(text); }
  EXPECT_EQ(cache_.n_blocks_free(), 16u) << "nobody holds them";
  EXPECT_EQ(cache_.n_blocks_published(), 3u) << "but they are there";
  const KvSequence again = cache_.begin_with(text + numbers(900, 5));
  EXPECT_EQ(again.n_tokens(), 70u);
  EXPECT_TRUE(Writer::is_right(cache_, again, text));
}

// The logits of the last token are wanted, so it has to be computed.
TEST_F(PrefixCacheTest, AlwaysLeavesOneTokenToCompute) {
  const Tokens text = numbers(0, 64);
  const KvSequence first = run(text);
  const KnownPrefix known = cache_.known_prefix(text);
  EXPECT_EQ(known.n_tokens, 63u);
  EXPECT_EQ(known.n_blocks_shared, 1u);
  EXPECT_EQ(cache_.begin_with(text).n_tokens(), 63u);
  EXPECT_EQ(cache_.begin_with(text + Tokens{1}).n_tokens(), 64u);
}

TEST_F(PrefixCacheTest, SaysHowManyFreeBlocksSharingTakes) {
  const Tokens text = numbers(0, 96);
  {
    const KvSequence first = run(text);
    EXPECT_EQ(cache_.known_prefix(text + Tokens{1}).n_blocks_unheld, 0u);
  }
  EXPECT_EQ(cache_.known_prefix(text + Tokens{1}).n_blocks_unheld, 3u);
  const KvSequence second = cache_.begin_with(text + Tokens{1});
  EXPECT_EQ(cache_.n_blocks_free(), 13u);
}

TEST_F(PrefixCacheTest, TellsAPromptApartThatDiffersInOneEarlyToken) {
  const Tokens text = numbers(0, 96);
  const KvSequence first = run(text);
  Tokens other = text;
  other[3] = 999;
  EXPECT_EQ(known(other), 3u) << "equal tokens behind a difference are worth nothing";
}

// A text is found while the one that computes it still goes on in the same block.
TEST_F(PrefixCacheTest, FindsAPartlyFilledBlockWhileItsOwnerGoesOn) {
  const Tokens text = numbers(0, 40);
  KvSequence first = run(text);
  KvSequence second = cache_.begin_with(text + numbers(700, 3));
  EXPECT_EQ(second.n_tokens(), 40u);
  const Tokens longer = text + numbers(800, 24);
  Writer::fill(cache_, first, longer);
  cache_.publish(first, longer);
  Writer::fill(cache_, second, text + numbers(700, 3));
  EXPECT_TRUE(Writer::is_right(cache_, first, longer));
  EXPECT_TRUE(Writer::is_right(cache_, second, text + numbers(700, 3)));
  EXPECT_EQ(known(longer + Tokens{1}), 64u) << "found under all of its tokens now";
}

// Two that computed the same at the same time: one copy is enough.
TEST_F(PrefixCacheTest, GivesUpABlockThatAnotherHasPublishedMeanwhile) {
  const Tokens text = numbers(0, 64);
  KvSequence first = cache_.begin_with(text), second = cache_.begin_with(text);
  Writer::fill(cache_, first, text);
  Writer::fill(cache_, second, text);
  EXPECT_EQ(cache_.n_blocks_free(), 12u);
  cache_.publish(first, text);
  cache_.publish(second, text);
  EXPECT_EQ(cache_.n_blocks_free(), 14u);
  EXPECT_EQ(second.blocks()[1], first.blocks()[1]);
}

TEST_F(PrefixCacheTest, TakesBackWhatWasUsedLongestAgo) {
  make(6);
  const Tokens a = numbers(0, 64), b = numbers(1000, 64), c = numbers(2000, 64), d = numbers(3000, 64);
  for (const Tokens& text : {a, b, c}) run(text);
  run(a);  // again, which makes it the latest
  run(d);  // two blocks have to go
  EXPECT_EQ(known(a), 63u);
  EXPECT_EQ(known(b), 0u);
  EXPECT_EQ(known(c), 63u);
}

TEST_F(PrefixCacheTest, TakesBackTheEndOfATextBeforeItsBeginning) {
  make(4);
  const Tokens a = numbers(0, 96);
  { const KvSequence gone = run(a); }
  const KvSequence other = run(numbers(1000, 64));
  EXPECT_EQ(known(a), 64u) << "the last block went";
}

TEST_F(PrefixCacheTest, NeverTakesBackWhatSomebodyHolds) {
  make(4);
  const Tokens a = numbers(0, 64);
  const KvSequence held = run(a);
  for (int i = 1; i < 10; ++i) run(numbers(i * 1000, 64));
  EXPECT_TRUE(Writer::is_right(cache_, held, a));
  EXPECT_EQ(known(a), 63u);
  KvSequence large = cache_.make_sequence();
  EXPECT_EQ(cache_.reserve(large, 96).error().code, ErrorCode::kFull);
}

TEST_F(PrefixCacheTest, GivesUpAKeptBeginningOnlyWhenNothingElseIsLeft) {
  make(4);
  const Tokens kept = numbers(0, 40);
  {
    KvSequence sequence = cache_.begin_with(kept);
    Writer::fill(cache_, sequence, kept);
    cache_.publish(sequence, kept, true);
  }
  for (int i = 1; i < 10; ++i) run(numbers(i * 1000, 64));
  EXPECT_EQ(known(kept + Tokens{1}), 40u);
  run(numbers(5000, 128));
  EXPECT_EQ(known(kept + Tokens{1}), 0u);
}

// Copying needs a block, and the only one that is free may be the one to copy.
TEST_F(PrefixCacheTest, UsesTheLastFreeBlockItselfWhenItIsTheOneToCopy) {
  make(2);
  const Tokens begin = numbers(0, 32), text = begin + numbers(100, 20);
  run(text);
  KvSequence second = cache_.begin_with(begin + numbers(100, 10) + Tokens{7});
  EXPECT_EQ(second.n_tokens(), 42u);
  EXPECT_TRUE(Writer::is_right(cache_, second, text));
  EXPECT_EQ(cache_.n_blocks_free(), 0u);
  const KvSequence third = cache_.begin_with(text);
  EXPECT_EQ(third.n_tokens(), 32u) << "no block for a copy: without it, then";
}

// A cut that goes back into what others know must not let anybody see what is written behind it.
TEST_F(PrefixCacheTest, CopiesAKnownBlockBeforeATruncatedSequenceWritesIntoIt) {
  const Tokens text = numbers(0, 50);
  KvSequence first = run(text);
  cache_.truncate(first, 40);
  const Tokens other = numbers(0, 40) + numbers(900, 20);
  Writer::fill(cache_, first, other);
  EXPECT_EQ(known(text + Tokens{1}), 50u);
  const KvSequence second = cache_.begin_with(text + Tokens{1});
  EXPECT_TRUE(Writer::is_right(cache_, second, text));
  cache_.publish(first, other);
  EXPECT_EQ(known(other + Tokens{1}), 60u);
}

// Texts that begin alike in many ways, forks and cuts, too few blocks: what is found is always right, as
// much as a plain search finds is found, and every block is accounted for.
TEST_F(PrefixCacheTest, NeverGivesAnythingButTheRightKeysAndValues) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    testing::RandomValues random(static_cast<uint32_t>(seed));
    make(20);
    struct Live {
      KvSequence sequence;
      Tokens tokens;
    };
    std::vector<Live> live;
    const auto draw_text = [&] {
      Tokens tokens;
      for (size_t part = 0; part < 1 + random.below(4); ++part) {
        tokens = tokens + numbers(static_cast<TokenId>(1000 * random.below(3)), 5 + random.below(40));
      }
      return tokens;
    };
    for (int round = 0; round < 700; ++round) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", round " + std::to_string(round));
      if (live.size() < 4 && random.below(2) == 0) {
        Tokens text = draw_text();
        const size_t n_free = cache_.n_blocks_free();
        const KnownPrefix known = cache_.known_prefix(text);
        KvSequence sequence = cache_.begin_with(text);
        if (n_free > known.n_blocks_unheld) {
          EXPECT_EQ(sequence.n_tokens(), known.n_tokens);
        }
        ASSERT_LT(sequence.n_tokens(), text.size());
        ASSERT_TRUE(Writer::is_right(cache_, sequence, text));
        if (!cache_.reserve(sequence, text.size() - sequence.n_tokens())) continue;
        Writer::fill(cache_, sequence, text);
        live.push_back({std::move(sequence), std::move(text)});
      } else if (!live.empty()) {
        Live& one = live[random.below(live.size())];
        switch (random.below(5)) {
          case 0:
            live.erase(live.begin() + (&one - live.data()));
            break;
          case 1: {
            const Tokens more = one.tokens + draw_text();
            if (!cache_.reserve(one.sequence, more.size() - one.tokens.size())) break;
            Writer::fill(cache_, one.sequence, more);
            one.tokens = more;
            break;
          }
          case 2: {
            one.tokens.resize(random.below(one.tokens.size() + 1));
            cache_.truncate(one.sequence, one.tokens.size());
            break;
          }
          case 3:
            if (auto fork = cache_.fork(one.sequence, random.below(one.tokens.size() + 1))) {
              Tokens tokens(one.tokens.begin(),
                            one.tokens.begin() + static_cast<ptrdiff_t>(fork->n_tokens()));
              live.push_back({std::move(*fork), std::move(tokens)});
            }
            break;
          default:
            cache_.publish(one.sequence, one.tokens, random.below(8) == 0);
        }
      }
      std::set<uint32_t> held;
      for (const Live& one : live) {
        held.insert(one.sequence.blocks().begin(), one.sequence.blocks().end());
        ASSERT_TRUE(Writer::is_right(cache_, one.sequence, one.tokens));
      }
      ASSERT_EQ(cache_.n_blocks_free(), 20 - held.size());
    }
    live.clear();
    ASSERT_EQ(cache_.n_blocks_free(), 20u);
  }
}

}  // namespace
}  // namespace tandem::engine
