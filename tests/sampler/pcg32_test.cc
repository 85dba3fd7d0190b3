#include "worker/engine/sampler/pcg32.h"

#include <gtest/gtest.h>

namespace tandem::engine {
namespace {

// The first numbers of the generator's own demo (seed 42, stream 54).
TEST(Pcg32Test, GivesThePublishedNumbers) {
  Pcg32 random(42, 54);
  for (const uint32_t expected :
       {0xa15c02b7u, 0x7b47f409u, 0xba1d3330u, 0x83d2f293u, 0xbfa4784bu, 0xcbed606eu}) {
    EXPECT_EQ(random.next(), expected);
  }
}

TEST(Pcg32Test, JumpsToWhereItWouldHaveWalked) {
  Pcg32 walking(9);
  for (uint64_t n = 0; n < 300; ++n) {
    Pcg32 jumping(9);
    jumping.skip(n);
    const uint32_t next = walking.next();
    ASSERT_EQ(jumping.next(), next) << n;
  }
}

TEST(Pcg32Test, GivesUnitsThatFillTheirRangeEvenly) {
  Pcg32 random(3);
  int tenths[10] = {};
  for (int i = 0; i < 100'000; ++i) {
    const double unit = random.next_unit();
    ASSERT_GE(unit, 0);
    ASSERT_LT(unit, 1);
    ++tenths[static_cast<int>(unit * 10)];
  }
  for (const int count : tenths) EXPECT_NEAR(count, 10'000, 500);
}

}  // namespace
}  // namespace tandem::engine
