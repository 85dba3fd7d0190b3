#include "broker/log_allowance.h"

#include <gtest/gtest.h>

namespace tandem::broker {
namespace {

using namespace std::chrono_literals;

TEST(LogAllowanceTest, SoManyLinesInASecondAndTheOthersAreCounted) {
  ManualClock clock;
  LogAllowance lines(2);
  EXPECT_TRUE(lines.admits(clock.now()));
  EXPECT_TRUE(lines.admits(clock.now()));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(lines.admits(clock.now()));
  EXPECT_EQ(lines.take_left_out(clock.now()), 0u) << "there may be more";

  clock.advance(999ms);
  EXPECT_FALSE(lines.admits(clock.now()));
  clock.advance(1ms);
  EXPECT_EQ(lines.take_left_out(clock.now()), 6u);
  EXPECT_EQ(lines.take_left_out(clock.now()), 0u) << "told once";
  EXPECT_TRUE(lines.admits(clock.now()));
}

}  // namespace
}  // namespace tandem::broker
