#include "client/cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "client/cli/width.h"

namespace tandem::cli {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

RunCounts counts(uint64_t done, std::optional<uint64_t> total = 100) {
  RunCounts out;
  out.done = done;
  out.tokens = done * 50;
  out.total = total;
  return out;
}

TEST(Progress, TheRateIsThatOfTheLastTenSeconds) {
  ProgressRate rate;
  TimePoint now{1h};
  rate.add(counts(0), now);
  EXPECT_EQ(rate.rows_per_s(), 0) << "nothing to compare with yet";
  for (int i = 1; i <= 10; ++i) rate.add(counts(static_cast<uint64_t>(i)), now += 1s);
  EXPECT_DOUBLE_EQ(rate.rows_per_s(), 1);
  EXPECT_DOUBLE_EQ(rate.tokens_per_s(), 50);
  for (int i = 1; i <= 20; ++i) rate.add(counts(10 + static_cast<uint64_t>(i) * 4), now += 1s);
  EXPECT_DOUBLE_EQ(rate.rows_per_s(), 4) << "the slow beginning is forgotten";
}

TEST(Progress, TimeLeftNeedsATotalAndARate) {
  ProgressRate rate;
  TimePoint now{1h};
  rate.add(counts(0), now);
  EXPECT_FALSE(rate.time_left());
  rate.add(counts(20), now += 10s);
  EXPECT_DOUBLE_EQ(rate.time_left().value(), 40);
  rate.add(counts(100), now += 1s);
  EXPECT_DOUBLE_EQ(rate.time_left().value(), 0);
  rate.add(counts(130), now += 1s);
  EXPECT_DOUBLE_EQ(rate.time_left().value(), 0) << "a file that grew while it was read";

  ProgressRate unknown;
  unknown.add(counts(0, {}), now);
  unknown.add(counts(5, {}), now += 1s);
  EXPECT_FALSE(unknown.time_left());
}

TEST(Progress, ABrokerWithoutRoomStandsInThePlaceOfTheRates) {
  ProgressRate rate;
  RunCounts now = counts(10);
  EXPECT_THAT(progress_bar(now, rate, 200), HasSubstr("rows/s"));
  EXPECT_THAT(progress_json(now, rate), HasSubstr("\"held_back\":false"));
  now.held_back = "1000 jobs\n of this client";
  EXPECT_THAT(
      progress_bar(now, rate, 200),
      AllOf(HasSubstr("10/100  broker full: 1000 jobs  of this client, waiting"), Not(HasSubstr("rows/s"))));
  EXPECT_THAT(progress_json(now, rate), HasSubstr("\"held_back\":true"));
}

// Called for every outcome of a run of millions of rows.
TEST(Progress, ManyUpdatesInAMomentDoNotPileUpOrDistort) {
  ProgressRate rate;
  TimePoint now{1h};
  for (uint64_t i = 0; i <= 1'000'000; ++i) rate.add(counts(i, 2'000'000), now += 1us);
  EXPECT_NEAR(rate.rows_per_s(), 1e6, 1e3);
}

TEST(Progress, TheBarSaysAllThatIsKnown) {
  ProgressRate rate;
  TimePoint now{1h};
  rate.add(counts(0), now);
  RunCounts at = counts(40);
  at.failed = 2;
  at.cached = 7;
  rate.add(at, now += 10s);
  EXPECT_EQ(progress_bar(at, rate, 200),
            "[########------------]  40%  40/100  2 failed  7 cached  4.0 rows/s  200 tokens/s  15 s left");
  EXPECT_EQ(display_width(progress_bar(at, rate, 40)), 40u);
  EXPECT_THAT(progress_bar(counts(5, {}), rate, 200), AllOf(HasSubstr("5 rows"), Not(HasSubstr("%"))));
  EXPECT_THAT(progress_bar(counts(0, 0), rate, 200), HasSubstr("0 rows"));
  EXPECT_THAT(progress_bar(counts(999, 1000), rate, 200), HasSubstr(" 99%"))
      << "100 % is the end, not before";
}

TEST(Progress, JsonIsJson) {
  ProgressRate rate;
  TimePoint now{1h};
  rate.add(counts(0), now);
  rate.add(counts(10), now += 1s);
  auto json = nlohmann::json::parse(progress_json(counts(10), rate));
  EXPECT_EQ(json["done"], 10);
  EXPECT_EQ(json["total"], 100);
  EXPECT_EQ(json["rows_per_s"], 10);
  EXPECT_EQ(json["seconds_left"], 9);
  json = nlohmann::json::parse(progress_json(counts(10, {}), ProgressRate()));
  EXPECT_TRUE(json["total"].is_null());
  EXPECT_TRUE(json["seconds_left"].is_null());
}

TEST(Progress, DurationsAreForPeople) {
  EXPECT_EQ(duration_text(0), "0 s");
  EXPECT_EQ(duration_text(0.2), "1 s");
  EXPECT_EQ(duration_text(59.5), "1 min 0 s");
  EXPECT_EQ(duration_text(200), "3 min 20 s");
  EXPECT_EQ(duration_text(7500), "2 h 5 min");
}

TEST(Progress, AnUnknownModeNamesTheChoices) {
  ASSERT_FALSE(ProgressPrinter::mode_from("loud"));
  EXPECT_THAT(ProgressPrinter::mode_from("loud").error().text, HasSubstr("auto, bar, json or none"));
}

}  // namespace
}  // namespace tandem::cli
