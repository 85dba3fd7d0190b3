#include "worker/engine/sampler/stop_strings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tandem::engine {
namespace {

TEST(StopStringsTest, FindsAStopStringAcrossTokens) {
  StopStrings stops({"END"});
  EXPECT_EQ(stops.push("the E").text, "the ");
  EXPECT_EQ(stops.push("N").text, "");
  const auto last = stops.push("D and more");
  EXPECT_TRUE(last.stopped);
  EXPECT_EQ(last.text, "");
  EXPECT_EQ(stops.push("more").text, "");
  EXPECT_EQ(stops.finish(), "");
}

TEST(StopStringsTest, ReleasesWhatTurnsOutToBeOrdinaryText) {
  StopStrings stops({"END"});
  EXPECT_EQ(stops.push("EN").text, "");
  EXPECT_EQ(stops.push("EN").text, "EN");  // the second may still be one
  EXPECT_EQ(stops.push("T").text, "ENT");
  EXPECT_EQ(stops.push("E").text, "");
  EXPECT_EQ(stops.finish(), "E");
}

TEST(StopStringsTest, WaitsForTheOneThatBeginsFirst) {
  StopStrings waiting({"abcd", "c"});
  const auto step = waiting.push("xabc");
  EXPECT_FALSE(step.stopped);
  EXPECT_EQ(step.text, "x");
  EXPECT_TRUE(waiting.push("d").stopped);

  StopStrings other({"abcd", "c"});
  other.push("xabc");
  const auto broken = other.push("e");
  EXPECT_TRUE(broken.stopped);
  EXPECT_EQ(broken.text, "ab");

  StopStrings ended({"abcd", "c"});
  ended.push("xabc");
  EXPECT_EQ(ended.finish(), "ab");
}

TEST(StopStringsTest, WithoutStopStringsPassesEverything) {
  StopStrings none({});
  EXPECT_EQ(none.push("anything").text, "anything");
  StopStrings empty({""});  // an empty one would stop before the first token
  EXPECT_EQ(empty.push("anything").text, "anything");
  EXPECT_EQ(empty.finish(), "");
}

// However the text is cut: all up to the first stop string of the whole text comes out, and never a byte of
// it.
TEST(StopStringsTest, EqualsASearchInTheWholeTextForEverySplit) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto letters = [&](size_t n) {
    std::string text;
    while (text.size() < n) text += "ab"[random() % 2];
    return text;
  };
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> wanted;
    for (size_t n = random() % 4; n > 0; --n) wanted.push_back(letters(1 + random() % 6));
    const std::string text = letters(random() % 30);
    size_t end = text.size();
    for (const std::string& stop : wanted) end = std::min(end, text.find(stop));

    StopStrings stops(wanted);
    std::string out;
    bool stopped = false;
    for (size_t at = 0; at < text.size() && !stopped;) {
      const size_t n = std::min<size_t>(text.size() - at, random() % 4);
      const auto step = stops.push(std::string_view(text).substr(at, n));
      out += step.text;
      stopped = step.stopped;
      at += n;
      ASSERT_TRUE(text.substr(0, end).starts_with(out));
    }
    out += stops.finish();
    ASSERT_EQ(out, text.substr(0, end)) << text;
  }
}

}  // namespace
}  // namespace tandem::engine
