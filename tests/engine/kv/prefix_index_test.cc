#include "worker/engine/kv/prefix_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/engine/support/random_values.h"

namespace tandem::engine {
namespace {

constexpr uint32_t kRoot = PrefixIndex::kRoot;

TEST(PrefixIndexTest, FindsTheChildThatBeginsMostAlike) {
  PrefixIndex index(8);
  index.add(kRoot, Tokens{1, 2, 3}, 0);
  index.add(kRoot, Tokens{1, 2, 4, 5}, 1);
  index.add(kRoot, Tokens{7}, 2);
  EXPECT_EQ(index.best(kRoot, Tokens{1, 2, 4, 5, 6}).block, 1u);
  EXPECT_EQ(index.best(kRoot, Tokens{1, 2, 4, 5, 6}).n_tokens, 4u);
  EXPECT_EQ(index.best(kRoot, Tokens{1, 2, 3, 3}).n_tokens, 3u);
  EXPECT_EQ(index.best(kRoot, Tokens{1, 9}).n_tokens, 1u);
  EXPECT_EQ(index.best(kRoot, Tokens{2}).n_tokens, 0u);
  EXPECT_EQ(index.best(kRoot, Tokens{7}).block, 2u);
}

// The same tokens behind another beginning are another thing.
TEST(PrefixIndexTest, KeepsWhatStandsBehindDifferentBeginningsApart) {
  PrefixIndex index(8);
  index.add(kRoot, Tokens{1}, 0);
  index.add(kRoot, Tokens{2}, 1);
  index.add(0, Tokens{5, 6}, 2);
  EXPECT_EQ(index.best(0, Tokens{5, 6}).n_tokens, 2u);
  EXPECT_EQ(index.best(1, Tokens{5, 6}).n_tokens, 0u);
  EXPECT_EQ(index.best(kRoot, Tokens{5, 6}).n_tokens, 0u);
}

TEST(PrefixIndexTest, GivesUpWhatWasUsedLongestAgoAndLeavesFirst) {
  PrefixIndex index(8);
  index.add(kRoot, Tokens{1}, 0);
  index.add(0, Tokens{2}, 1);
  index.add(0, Tokens{3}, 2);
  EXPECT_EQ(index.oldest(), std::nullopt) << "all of them are held";
  for (const uint32_t block : {0, 2, 1}) index.let_go(block);
  EXPECT_EQ(index.n_unheld(), 3u);
  EXPECT_EQ(index.oldest(), 2u) << "the first one has children";
  index.touch(2);
  EXPECT_EQ(index.oldest(), 1u);
  index.remove(1);
  index.hold(2);
  EXPECT_EQ(index.oldest(), std::nullopt);
  index.let_go(2);
  index.remove(2);
  EXPECT_EQ(index.oldest(), 0u) << "a parent without children is a leaf";
  index.remove(0);
  EXPECT_EQ(index.n_unheld(), 0u);
  EXPECT_FALSE(index.has(0));
}

TEST(PrefixIndexTest, GivesUpWhatIsKeptAfterAllElse) {
  PrefixIndex index(8);
  for (TokenId token = 0; token < 3; ++token) {
    index.add(kRoot, Tokens{token}, static_cast<uint32_t>(token));
    index.let_go(static_cast<uint32_t>(token));
  }
  index.keep(0);
  EXPECT_EQ(index.oldest(), 1u);
  index.remove(1);
  index.remove(2);
  EXPECT_EQ(index.oldest(), 0u) << "kept, not for ever";
}

// Against a plain search through all children.
TEST(PrefixIndexTest, FindsAsMuchAsAPlainSearch) {
  testing::RandomValues random(11);
  for (int round = 0; round < 200; ++round) {
    PrefixIndex index(40);
    std::vector<Tokens> all;
    const auto draw = [&] {
      Tokens tokens(1 + random.below(6));
      for (TokenId& token : tokens) token = static_cast<TokenId>(random.below(3));
      return tokens;
    };
    for (uint32_t block = 0; block < 20; ++block) {
      const Tokens tokens = draw();
      if (std::find(all.begin(), all.end(), tokens) != all.end()) continue;
      index.add(kRoot, tokens, static_cast<uint32_t>(all.size()));
      all.push_back(tokens);
    }
    for (int i = 0; i < 20; ++i) {
      const Tokens wanted = draw();
      size_t n_best = 0;
      for (const Tokens& one : all) {
        const auto parted = std::mismatch(wanted.begin(), wanted.end(), one.begin(), one.end());
        n_best = std::max(n_best, static_cast<size_t>(parted.first - wanted.begin()));
      }
      ASSERT_EQ(index.best(kRoot, wanted).n_tokens, n_best) << "seed 11, round " << round;
    }
  }
}

}  // namespace
}  // namespace tandem::engine
