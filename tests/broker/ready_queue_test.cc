#include "broker/ready_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace tandem::broker {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

std::vector<Sequence> pop_all(ReadyQueue& queue) {
  std::vector<Sequence> jobs;
  while (const auto job = queue.pop()) jobs.push_back(*job);
  return jobs;
}

TEST(ReadyQueueTest, OneClientIsServedInOrderOfArrivalWhateverTheOrderOfPushes) {
  ReadyQueue queue;
  for (const Sequence job : {3u, 1u, 2u}) queue.push("ann", job, 1);
  EXPECT_EQ(queue.size(), 3u);
  EXPECT_THAT(pop_all(queue), ElementsAre(1, 2, 3));
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.pop(), std::nullopt);
}

// Having had nothing to do for an hour is no reason to be served first for the next one.
TEST(ReadyQueueTest, AClientThatWasIdleStartsLevelWithTheOthers) {
  ReadyQueue queue;
  for (Sequence job = 1; job <= 100; ++job) queue.push("busy", job, 10);
  for (int i = 0; i < 90; ++i) queue.pop();
  for (Sequence job = 101; job <= 110; ++job) queue.push("late", job, 10);
  EXPECT_EQ(queue.pop(), 101u);
  EXPECT_EQ(queue.pop(), 91u);
  EXPECT_EQ(queue.pop(), 102u);
  EXPECT_EQ(queue.pop(), 92u);
}

TEST(ReadyQueueTest, AJobWithoutCostCountsAsOne) {
  ReadyQueue queue;
  for (const Sequence job : {1u, 2u, 3u}) queue.push("free", job, 0);
  for (const Sequence job : {4u, 5u, 6u}) queue.push("paid", job, 1);
  EXPECT_THAT(pop_all(queue), ElementsAre(1, 4, 2, 5, 3, 6));
}

TEST(ReadyQueueTest, ADelayedJobJoinsAtItsTimeAndInItsPlace) {
  ReadyQueue queue;
  const TimePoint start{};
  queue.push_delayed("ann", 1, 1, start + 10ms);
  queue.push("ann", 2, 1);
  queue.push("ann", 3, 1);
  EXPECT_EQ(queue.size(), 3u);
  EXPECT_EQ(queue.next_release(), start + 10ms);
  queue.release(start + 9ms);
  EXPECT_EQ(queue.pop(), 2u);
  queue.release(start + 10ms);
  EXPECT_EQ(queue.next_release(), std::nullopt);
  EXPECT_THAT(pop_all(queue), ElementsAre(1, 3));
}

TEST(ReadyQueueTest, AJobCanBeTakenOutWhereverItIs) {
  ReadyQueue queue;
  queue.push("ann", 1, 1);
  queue.push("bob", 2, 1);
  queue.push_delayed("ann", 3, 1, TimePoint{} + 10ms);
  EXPECT_TRUE(queue.remove("ann", 1));
  EXPECT_FALSE(queue.remove("ann", 1));
  EXPECT_FALSE(queue.remove("ann", 2));
  EXPECT_TRUE(queue.remove("ann", 3));
  queue.release(TimePoint{} + 1h);
  EXPECT_THAT(pop_all(queue), ElementsAre(2));
  EXPECT_EQ(queue.size(), 0u);
}

}  // namespace
}  // namespace tandem::broker
