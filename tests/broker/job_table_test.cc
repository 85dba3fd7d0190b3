#include "broker/job_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <vector>

namespace tandem::broker {
namespace {

using ::testing::_;
using ::testing::Each;
using ::testing::Le;
using ::testing::Pair;

// splitmix64's finisher, which found the places of ids before: without a secret, and invertible.
uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return x ^ x >> 31;
}
uint64_t half_of(const JobId& id, size_t at) {
  uint64_t half = 0;
  std::memcpy(&half, id.bytes.data() + at, 8);
  return half;
}
uint64_t old_hash(const JobId& id) {
  return mix(half_of(id, 8) ^ mix(half_of(id, 0)));
}

// Whatever stands in the first half, the second makes up for it.
JobId one_of_many_that_met(uint64_t number) {
  const uint64_t high = number + 1, low = mix(high) ^ 0x123456789abcdef0ull;
  JobId id;
  std::memcpy(id.bytes.data(), &high, 8);
  std::memcpy(id.bytes.data() + 8, &low, 8);
  return id;
}

// An index has 256 segments by the highest bits, and in each a place by the lowest: both are to differ.
TEST(JobTableTest, IdsThatAreMadeToMeetDoNot) {
  constexpr uint64_t kIds = 60'000;
  for (const uint64_t seed : {0ull, 17ull}) {
    const ById by_id{KeyedHash(seed)};
    std::map<uint64_t, size_t> segments, places;
    for (uint64_t i = 0; i < kIds; ++i) {
      const JobId id = one_of_many_that_met(i);
      ASSERT_EQ(old_hash(id), old_hash(one_of_many_that_met(0)));
      ++segments[by_id.hash(id) >> 56];
      ++places[by_id.hash(id) & 0xffff];
    }
    EXPECT_EQ(segments.size(), 256u);
    EXPECT_THAT(segments, Each(Pair(_, Le(2 * kIds / 256))));
    EXPECT_THAT(places, Each(Pair(_, Le(12u))));
  }
}

// Ids that differ in a few bits of one half, as counters do.
TEST(JobTableTest, IdsThatCountAreSpread) {
  const ById by_id{KeyedHash(17)};
  for (const size_t at : {0u, 7u, 8u, 15u, 5u, 13u}) {
    std::map<uint64_t, size_t> places;
    for (uint32_t i = 0; i < 60'000; ++i) {
      JobId id;
      id.bytes[at] = static_cast<uint8_t>(i);
      id.bytes[(at + 1) % 16] = static_cast<uint8_t>(i >> 8);
      ++places[by_id.hash(id) & 0xffff];
    }
    EXPECT_THAT(places, Each(Pair(_, Le(12u)))) << at;
  }
}

TEST(JobTableTest, AnotherSeedIsAnotherHash) {
  std::set<uint64_t> hashes;
  for (uint64_t seed = 0; seed < 1'000; ++seed) {
    hashes.insert(ById{KeyedHash(seed)}.hash(one_of_many_that_met(0)) & 0xffffffff);
  }
  EXPECT_GT(hashes.size(), 990u);
}

TEST(JobTableTest, WhatWasAddedIsFoundUntilItIsErased) {
  JobTable jobs(17);
  std::vector<Slot> slots;
  for (uint64_t i = 0; i < 20'000; ++i) {
    JobRecord record;
    record.id = one_of_many_that_met(i);
    record.sequence = i + 1;
    slots.push_back(jobs.add(record));
  }
  for (uint64_t i = 0; i < 20'000; i += 2) jobs.erase(slots[i]);
  for (uint64_t i = 0; i < 20'000; ++i) {
    ASSERT_EQ(jobs.find(one_of_many_that_met(i)), i % 2 == 0 ? kNoSlot : slots[i]);
  }
}

}  // namespace
}  // namespace tandem::broker
