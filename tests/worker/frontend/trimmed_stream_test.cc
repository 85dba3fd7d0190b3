#include "worker/frontend/trimmed_stream.h"

#include <gtest/gtest.h>

#include <random>

namespace tandem {
namespace {

TEST(Trimmed, CutsWhiteSpaceAtBothEndsAndNowhereElse) {
  EXPECT_EQ(trimmed(" \n a b\t c \r\n"), "a b\t c");
  EXPECT_EQ(trimmed(""), "");
  EXPECT_EQ(trimmed(" \n "), "");
}

TEST(TrimmedStream, HoldsWhiteSpaceBackUntilSomethingFollows) {
  TrimmedStream stream;
  EXPECT_EQ(stream.push("\n"), "");
  EXPECT_EQ(stream.push(" a "), "a");
  EXPECT_EQ(stream.push(" "), "");
  EXPECT_EQ(stream.push("b"), "  b");
  EXPECT_EQ(stream.push("\n"), "");
}

TEST(TrimmedStream, GivesTheTrimmedTextHoweverItIsCut) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (size_t n = random() % 30; n > 0; --n) text += " \nab"[random() % 4];
    TrimmedStream stream;
    std::string joined;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + random() % 4;
      joined += stream.push(std::string_view(text).substr(at, n));
      at += n;
    }
    EXPECT_EQ(joined, trimmed(text)) << "seed 7, round " << round;
  }
}

}  // namespace
}  // namespace tandem
