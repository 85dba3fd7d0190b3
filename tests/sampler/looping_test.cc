#include <gtest/gtest.h>

#include <random>

#include "worker/engine/sampler/stop_strings.h"

namespace tandem::engine {
namespace {

using Ids = std::vector<int32_t>;

// One id for each character is as good as any tokenizer here.
Ids ids(const std::string& text) {
  return Ids(text.begin(), text.end());
}

Ids repeated(const Ids& pattern, size_t n_times) {
  Ids all;
  for (size_t i = 0; i < n_times; ++i) all.insert(all.end(), pattern.begin(), pattern.end());
  return all;
}

TEST(LoopingTest, SeesOneTokenForEver) {
  EXPECT_FALSE(is_looping(repeated({7}, 47)));
  EXPECT_TRUE(is_looping(repeated({7}, 48)));
}

TEST(LoopingTest, SeesASentenceSaidSixTimes) {
  Ids sentence(20);
  for (size_t i = 0; i < sentence.size(); ++i) sentence[i] = static_cast<int32_t>(i);
  Ids text = {90, 91, 92};
  const auto with = [&](size_t n_times) {
    Ids all = text;
    for (const int32_t id : repeated(sentence, n_times)) all.push_back(id);
    return all;
  };
  EXPECT_FALSE(is_looping(with(5)));
  EXPECT_TRUE(is_looping(with(6)));
  // One change in the middle of the last six, and it is not a loop.
  Ids changed = with(6);
  changed[60] = 1234;
  EXPECT_FALSE(is_looping(changed));
}

TEST(LoopingTest, SeesTheLongestPatternAndNoLonger) {
  Ids pattern(64);
  for (size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<int32_t>(i * i % 101);
  EXPECT_TRUE(is_looping(repeated(pattern, 6)));
  pattern.push_back(500);
  EXPECT_FALSE(is_looping(repeated(pattern, 6)));
}

TEST(LoopingTest, SeesALoopCutAnywhere) {
  Ids all = repeated({1, 2, 3, 4, 5}, 30);
  for (int i = 0; i < 5; ++i, all.pop_back()) EXPECT_TRUE(is_looping(all));
}

TEST(LoopingTest, LeavesOrdinaryRepetitionAlone) {
  for (const std::string text : {
           "1 1 1 1 1 1 1 1 1 1",
           "ha ha ha ha ha ha ha ha!",
           "no no no no no no no no no no",
           "1. bread\n2. milk\n3. eggs\n4. bread\n5. milk\n6. eggs\n7. bread\n8. milk\n9. eggs\n",
           "0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160, 170, 180",
           "3.3333333333333333333333333333333333333333",
           "| a | b | c | d |\n|---|---|---|---|\n| 1 | 2 | 3 | 4 |\n| 1 | 2 | 3 | 4 |\n",
           "Row, row, row your boat,\nRow, row, row your boat,\nRow, row, row your boat,\n",
           "I will not be late.\nI will not be late.\nI will not be late.\nI will not be late.\nI will not "
           "be late.\n",
           "",
           "a",
       }) {
    for (size_t n = 0; n <= text.size(); ++n)
      EXPECT_FALSE(is_looping(ids(text.substr(0, n)))) << text.substr(0, n);
  }
}

TEST(LoopingTest, LeavesRandomTextAlone) {
  std::mt19937 random(5);
  Ids all;
  for (int i = 0; i < 3000; ++i) {
    all.push_back(static_cast<int32_t>(random() % 2));
    ASSERT_FALSE(is_looping(all)) << i;
  }
}

}  // namespace
}  // namespace tandem::engine
