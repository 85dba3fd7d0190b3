// Blocks that were computed before, in another process perhaps, come into the KV cache from outside.

#include <gmock/gmock.h>

#include "tests/engine/kv/kv_writer.h"
#include "tests/engine/support/golden.h"
#include "worker/engine/kv/kv_cache.h"

namespace tandem::engine {
namespace {

using testing::must;
using Writer = testing::KvWriter;

Tokens numbers(size_t n) {
  Tokens tokens(n);
  for (size_t i = 0; i < n; ++i) tokens[i] = static_cast<TokenId>(i);
  return tokens;
}

class AdoptTest : public ::testing::Test {
 protected:
  // The blocks of a text, as another process has them.
  std::vector<std::vector<std::byte>> computed(const Tokens& text) {
    KvCache cache = must(KvCache::create(testing::kSmallShape, 16));
    KvSequence sequence = cache.make_sequence();
    Writer::fill(cache, sequence, text);
    std::vector<std::vector<std::byte>> blocks;
    for (size_t i = 0; i < sequence.blocks().size(); ++i) {
      const auto bytes = cache.bytes(sequence, i);
      blocks.emplace_back(bytes.begin(), bytes.end());
    }
    return blocks;
  }
  KvSequence adopt_all(const Tokens& text) {
    const auto blocks = computed(text);
    KvSequence held = cache_.hold(text);
    for (size_t i = held.blocks().size(); i < blocks.size(); ++i) {
      const size_t end = std::min((i + 1) * kBlockTokens, text.size());
      if (!cache_.adopt(held, std::span<const TokenId>(text).first(end), blocks[i])) break;
    }
    return held;
  }

  KvCache cache_ = must(KvCache::create(testing::kSmallShape, 8));
};

TEST_F(AdoptTest, KnowsAnAdoptedTextAsIfItHadComputedIt) {
  const Tokens text = numbers(80);
  { const KvSequence held = adopt_all(text); }
  EXPECT_EQ(cache_.n_blocks_free(), 8u) << "nobody holds them";
  EXPECT_EQ(cache_.n_blocks_published(), 3u);
  Tokens longer = text;
  longer.insert(longer.end(), {900, 901, 902});
  KvSequence sequence = cache_.begin_with(longer);
  EXPECT_EQ(sequence.n_tokens(), 80u);
  EXPECT_TRUE(Writer::is_right(cache_, sequence, longer));
  Writer::fill(cache_, sequence, longer);
  EXPECT_TRUE(Writer::is_right(cache_, sequence, longer));
}

TEST_F(AdoptTest, HoldsAllFullBlocksOfAText) {
  const Tokens text = numbers(64);
  const KvSequence first = adopt_all(text);
  EXPECT_EQ(cache_.hold(text).n_tokens(), 64u) << "the last token, too: nothing is computed";
  EXPECT_EQ(cache_.begin_with(text).n_tokens(), 63u);
  EXPECT_EQ(cache_.hold(numbers(63)).n_tokens(), 32u);
}

// Blocks are taken from those that nobody holds, never from the text that is being adopted.
TEST_F(AdoptTest, StopsWhenAllBlocksAreHeld) {
  const KvSequence held = adopt_all(numbers(300));
  EXPECT_EQ(held.n_tokens(), 256u);
  EXPECT_EQ(cache_.n_blocks_free(), 0u);
  EXPECT_TRUE(Writer::is_right(cache_, held, numbers(300)));
}

TEST_F(AdoptTest, RemembersOfABlockHowOftenItWasFoundAndThatItIsStored) {
  const Tokens text = numbers(80);
  const KvSequence held = adopt_all(text);
  EXPECT_EQ(cache_.notes(held, 0).n_stored, 32u);
  EXPECT_EQ(cache_.notes(held, 2).n_stored, 16u);
  EXPECT_EQ(cache_.notes(held, 0).n_reuses, 0u);
  for (int i = 0; i < 300; ++i) (void)cache_.begin_with(text);
  EXPECT_EQ(cache_.notes(held, 0).n_reuses, 255u);

  KvSequence own = cache_.begin_with(text);
  EXPECT_EQ(cache_.notes(own, 2).n_stored, 0u) << "a copy goes on in its own way";
}

TEST_F(AdoptTest, ForgetsItsNotesWithTheContent) {
  { const KvSequence held = adopt_all(numbers(256)); }
  KvSequence other = cache_.make_sequence();
  ASSERT_TRUE(cache_.reserve(other, 32));
  EXPECT_EQ(cache_.notes(other, 0).n_stored, 0u);
}

}  // namespace
}  // namespace tandem::engine
