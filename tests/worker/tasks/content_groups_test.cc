#include "worker/tasks/content_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ContentGroups, KeepTogetherWhatFits) {
  EXPECT_THAT(content_defined_groups({}, 10), IsEmpty());
  const std::vector<GroupUnit> units = {{3, 0, 1}, {3, 0, 2}, {4, 0, 3}};
  EXPECT_THAT(content_defined_groups(units, 10), ElementsAre(3));
  EXPECT_GE(content_defined_groups(units, 9).size(), 2u);
}

TEST(ContentGroups, EndWhereItIsBestBeforeTheyEndElsewhere) {
  std::vector<GroupUnit> units(20, {1, 1, 0});
  for (size_t i = 0; i < units.size(); ++i) units[i].hash = i;
  units[8].kind = 0;
  EXPECT_THAT(content_defined_groups(units, 15), ElementsAre(9, 20));
}

TEST(ContentGroups, HoldUnitsThatAreTooLargeAlone) {
  const std::vector<GroupUnit> units = {{1, 0, 5}, {50, 0, 1}, {1, 0, 9}, {70, 0, 2}, {60, 0, 3}};
  const auto groups = content_defined_groups(units, 10);
  EXPECT_EQ(groups.back(), units.size());
  EXPECT_TRUE(std::is_sorted(groups.begin(), groups.end()));
  EXPECT_GE(groups.size(), 3u);
  EXPECT_THAT(content_defined_groups(std::vector<GroupUnit>{{99, 0, 1}}, 10), ElementsAre(1));
}

// Units no larger than a third of a group: all groups within a third and the whole of the limit.
TEST(ContentGroups, AreNeitherTooLargeNorTooSmall) {
  const unsigned seed = 77;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 500; ++round) {
    const size_t size_max = 9 + random() % 1000;
    std::vector<GroupUnit> units(1 + random() % 300);
    const uint64_t n_hashes = round % 3 == 0 ? 2 : UINT64_MAX;  // texts that say the same again and again
    size_t whole = 0;
    for (GroupUnit& unit : units) {
      unit = {random() % (size_max / 3 + 1), static_cast<uint8_t>(random() % 3), random() % n_hashes};
      whole += unit.size;
    }
    size_t begin = 0;
    for (const size_t end : content_defined_groups(units, size_max)) {
      ASSERT_LT(begin, end);
      size_t size = 0;
      for (; begin < end; ++begin) size += units[begin].size;
      ASSERT_LE(size, size_max);
      if (whole >= size_max) {
        ASSERT_GE(size, size_max / 3);
      }
    }
    ASSERT_EQ(begin, units.size());
  }
}

}  // namespace
}  // namespace tandem
