#include "worker/scheduler/prompt_lookup.h"

#include <gmock/gmock.h>

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PromptLookupTest, GuessesWhatFollowedTheLongestTailBefore) {
  PromptLookup lookup;
  // [2, 3] was there twice; behind 1 it went on with 4, and that is the longer match.
  EXPECT_THAT(lookup.guess(engine::Tokens{1, 2, 3, 4, 5, 9, 2, 3, 7, 1, 2, 3}, 2), ElementsAre(4, 5));
  // Nothing of three or two, one token of its own.
  EXPECT_THAT(lookup.guess(engine::Tokens{8, 3, 6, 5, 3}, 2), ElementsAre(6, 5));
}

TEST(PromptLookupTest, PrefersTheLatestPlace) {
  PromptLookup lookup;
  EXPECT_THAT(lookup.guess(engine::Tokens{1, 2, 3, 10, 1, 2, 3, 11, 1, 2, 3}, 1), ElementsAre(11));
}

TEST(PromptLookupTest, GuessesNothingWithoutAnExample) {
  PromptLookup lookup;
  EXPECT_THAT(lookup.guess(engine::Tokens{}, 4), IsEmpty());
  EXPECT_THAT(lookup.guess(engine::Tokens{1}, 4), IsEmpty());
  EXPECT_THAT(lookup.guess(engine::Tokens{1, 2, 3}, 4), IsEmpty());
  EXPECT_THAT(lookup.guess(engine::Tokens{1, 1}, 0), IsEmpty());
}

TEST(PromptLookupTest, GuessesNoFurtherThanTheHistoryGoes) {
  PromptLookup lookup;
  EXPECT_THAT(lookup.guess(engine::Tokens{5, 6, 5, 6}, 4), ElementsAre(5, 6));
}

TEST(PromptLookupTest, GuessesMoreAfterLuckAndLessWithoutIt) {
  engine::Tokens history;
  for (engine::TokenId i = 0; i < 100; ++i) history.push_back(i);
  history.insert(history.end(), {0, 1, 2});
  PromptLookup lookup;
  EXPECT_EQ(lookup.guess(history, 99).size(), 4u);
  lookup.learn(4, 4);
  EXPECT_EQ(lookup.guess(history, 99).size(), 8u);
  lookup.learn(8, 8);
  lookup.learn(16, 16);
  EXPECT_EQ(lookup.guess(history, 99).size(), PromptLookup::kWindowMax);
  lookup.learn(16, 9);
  EXPECT_EQ(lookup.guess(history, 99).size(), 16u);
  lookup.learn(16, 7);
  EXPECT_EQ(lookup.guess(history, 99).size(), 8u);
}

TEST(PromptLookupTest, PausesAfterBadLuckLongerEachTime) {
  const engine::Tokens history{1, 2, 1, 2};
  PromptLookup lookup;
  for (const size_t pause : {8u, 16u, 32u}) {
    for (size_t i = 0; i < PromptLookup::kMissesMax; ++i) {
      ASSERT_FALSE(lookup.guess(history, 4).empty());
      lookup.learn(2, 0);
    }
    for (size_t i = 0; i < pause; ++i) ASSERT_THAT(lookup.guess(history, 4), IsEmpty()) << i;
  }
  EXPECT_FALSE(lookup.guess(history, 4).empty());
  lookup.learn(2, 1);  // one right token, and the next pause is a short one again
  for (size_t i = 0; i < PromptLookup::kMissesMax; ++i) {
    ASSERT_FALSE(lookup.guess(history, 4).empty());
    lookup.learn(2, 0);
  }
  for (size_t i = 0; i < 8; ++i) ASSERT_THAT(lookup.guess(history, 4), IsEmpty());
  EXPECT_FALSE(lookup.guess(history, 4).empty());
}

// Many rows share what the weights cost: then a guess is no longer cheap.
TEST(PromptLookupTest, GuessesOnlyWhereRowsAreCheap) {
  EXPECT_EQ(guesses_max(1), 7u);
  EXPECT_EQ(guesses_max(2), 3u);
  EXPECT_EQ(guesses_max(4), 1u);
  EXPECT_EQ(guesses_max(5), 0u);
  EXPECT_EQ(guesses_max(64), 0u);
  EXPECT_EQ(guesses_max(0), 0u);
}

}  // namespace
}  // namespace tandem
