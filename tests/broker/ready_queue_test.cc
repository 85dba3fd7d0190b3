#include "broker/ready_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "broker/timers.h"

namespace tandem::broker {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

class ReadyQueueTest : public ::testing::Test {
 protected:
  enum Client : uint32_t { kAnn, kBob, kCid };

  // Jobs are known by their sequence.
  Slot add(Sequence sequence, uint32_t client = kAnn, uint32_t cost = 1) {
    JobRecord job;
    job.id = job_id_from_key(std::to_string(sequence));
    job.sequence = sequence;
    job.client = client;
    job.cost = cost;
    const Slot slot = jobs_.add(job);
    slots_[sequence] = slot;
    return slot;
  }
  JobRecord& job(Sequence sequence) { return jobs_[slots_.at(sequence)]; }
  void push(Sequence sequence, uint32_t client = kAnn, uint32_t cost = 1) {
    queue_.push(add(sequence, client, cost));
  }
  Sequence pop() {
    const Slot slot = queue_.peek();
    if (slot == kNoSlot) return 0;
    queue_.pop();
    return jobs_[slot].sequence;
  }
  std::vector<Sequence> pop_all() {
    std::vector<Sequence> popped;
    while (const Sequence sequence = pop()) popped.push_back(sequence);
    return popped;
  }

  JobTable jobs_{17};
  ReadyQueue queue_{jobs_};
  std::map<Sequence, Slot> slots_;
};

TEST_F(ReadyQueueTest, OneClientIsServedInOrderOfArrivalWhateverTheOrderOfPushes) {
  for (Sequence sequence = 1; sequence <= 3; ++sequence) add(sequence);
  for (const Sequence sequence : {3u, 1u, 2u}) queue_.push(slots_[sequence]);
  EXPECT_EQ(queue_.size(), 3u);
  EXPECT_THAT(pop_all(), ElementsAre(1, 2, 3));
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.peek(), kNoSlot);
}

TEST_F(ReadyQueueTest, AJobThatComesBackStandsWhereItStood) {
  for (Sequence sequence = 1; sequence <= 4; ++sequence) push(sequence);
  EXPECT_EQ(pop(), 1u);
  EXPECT_EQ(pop(), 2u);
  queue_.push(slots_[2]);
  queue_.push(slots_[1]);
  EXPECT_THAT(pop_all(), ElementsAre(1, 2, 3, 4));
}

// It may have gone to another queue, or to another priority: what is left of it here must not count.
TEST_F(ReadyQueueTest, AJobThatLeftFromBetweenOthersIsGoneForThisQueue) {
  ReadyQueue other(jobs_);
  for (Sequence sequence = 1; sequence <= 5; ++sequence) push(sequence);
  queue_.remove(slots_[3]);
  other.push(slots_[3]);
  queue_.remove(slots_[2]);
  job(2).priority = 0;
  queue_.push(slots_[2]);
  EXPECT_EQ(queue_.size(), 4u);
  EXPECT_THAT(pop_all(), ElementsAre(1, 4, 5, 2));
  EXPECT_EQ(other.peek(), slots_[3]);
  queue_.push(slots_[1]);
  other.remove(slots_[3]);
  queue_.push(slots_[3]);
  EXPECT_THAT(pop_all(), ElementsAre(1, 3));
}

// While one waits, thousands may come and go behind it.
TEST_F(ReadyQueueTest, ManyThatLeaveFromBetweenOthersTakeNobodysPlace) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  push(1);
  std::vector<Sequence> kept = {1};
  for (Sequence sequence = 2; sequence <= 2'000; ++sequence) {
    push(sequence);
    if (random() % 20 == 0) {
      kept.push_back(sequence);
    } else {
      queue_.remove(slots_[sequence]);
    }
    ASSERT_EQ(queue_.size(), kept.size());
    ASSERT_EQ(queue_.peek(), slots_[1]);
  }
  EXPECT_EQ(pop_all(), kept);
}

TEST_F(ReadyQueueTest, InteractiveGoesBeforeBulkAndThenPriorityDecides) {
  for (Sequence sequence = 1; sequence <= 5; ++sequence) add(sequence);
  job(2).priority = 9;
  job(3).urgency = Urgency::kInteractive;
  job(3).priority = 0;
  job(4).urgency = Urgency::kInteractive;
  job(5).priority = 0;
  for (Sequence sequence = 1; sequence <= 5; ++sequence) queue_.push(slots_[sequence]);
  EXPECT_THAT(pop_all(), ElementsAre(4, 3, 2, 1, 5));
}

TEST_F(ReadyQueueTest, AmongTheJobsOfOneClientTheEarliestDeadlineIsFirst) {
  for (Sequence sequence = 1; sequence <= 4; ++sequence) add(sequence);
  job(2).expires_ms = 9'000;
  job(4).expires_ms = 5'000;
  for (Sequence sequence = 1; sequence <= 4; ++sequence) queue_.push(slots_[sequence]);
  EXPECT_THAT(pop_all(), ElementsAre(4, 2, 1, 3));
}

// Having had nothing to do for an hour is no reason to be served first for the next one.
TEST_F(ReadyQueueTest, AClientThatWasIdleStartsLevelWithTheOthers) {
  for (Sequence sequence = 1; sequence <= 100; ++sequence) push(sequence, kAnn, 10);
  for (int i = 0; i < 90; ++i) pop();
  for (Sequence sequence = 101; sequence <= 110; ++sequence) push(sequence, kBob, 10);
  EXPECT_EQ(pop(), 101u);
  EXPECT_EQ(pop(), 91u);
  EXPECT_EQ(pop(), 102u);
  EXPECT_EQ(pop(), 92u);
}

// Nor is it one that it brings its jobs one by one: each comes when the one before is served.
TEST_F(ReadyQueueTest, AClientThatAlwaysHasOneJobWaitingGetsNoMoreThanItsShare) {
  for (Sequence sequence = 1; sequence <= 10; ++sequence) push(sequence, kAnn, 10);
  Sequence next = 101;
  push(next, kBob, 10);
  int n_for_ann = 0, n_for_bob = 0;
  for (int i = 0; i < 10; ++i) {
    const bool is_bobs = pop() >= 101;
    ++(is_bobs ? n_for_bob : n_for_ann);
    if (is_bobs) push(++next, kBob, 10);
  }
  EXPECT_EQ(n_for_ann, 5);
  EXPECT_EQ(n_for_bob, 5);
}

TEST_F(ReadyQueueTest, AClientDoesNotComeBackAheadOfItsShareByTakingItsJobsOut) {
  for (Sequence sequence = 1; sequence <= 5; ++sequence) push(sequence, kAnn, 10);
  push(101, kBob, 100);
  EXPECT_EQ(pop(), 1u);
  EXPECT_EQ(pop(), 101u);  // bob is at 100 now
  push(102, kBob, 1);
  queue_.remove(slots_[102]);
  push(103, kBob, 1);
  EXPECT_THAT(pop_all(), ElementsAre(2, 3, 4, 5, 103));
}

TEST_F(ReadyQueueTest, AJobWithoutCostCountsAsOne) {
  for (const Sequence sequence : {1u, 2u, 3u}) push(sequence, kAnn, 0);
  for (const Sequence sequence : {4u, 5u, 6u}) push(sequence, kBob, 1);
  EXPECT_THAT(pop_all(), ElementsAre(1, 4, 2, 5, 3, 6));
}

TEST_F(ReadyQueueTest, AJobCanBeTakenOutWhereverItIs) {
  for (Sequence sequence = 1; sequence <= 5; ++sequence) add(sequence, sequence == 4 ? kBob : kAnn);
  job(5).expires_ms = 1'000;
  for (Sequence sequence = 1; sequence <= 5; ++sequence) queue_.push(slots_[sequence]);
  EXPECT_EQ(pop(), 5u);
  queue_.push(slots_[5]);
  for (const Sequence sequence : {2u, 4u, 5u}) queue_.remove(slots_[sequence]);
  EXPECT_EQ(queue_.size(), 2u);
  EXPECT_EQ(queue_.oldest(), slots_[1]);
  EXPECT_THAT(pop_all(), ElementsAre(1, 3));
}

// What was taken out leaves its place behind, and the slot may be another job's by the time the place is
// reached.
TEST_F(ReadyQueueTest, AForgottenJobsPlaceIsNotItsSuccessors) {
  push(1);
  push(2);
  push(3);
  queue_.remove(slots_[2]);
  jobs_.erase(slots_[2]);
  push(4);
  EXPECT_EQ(slots_[4], slots_[2]);
  EXPECT_THAT(pop_all(), ElementsAre(1, 3, 4));
}

TEST_F(ReadyQueueTest, OlderJobsComeInInFront) {
  ReadyQueue older(jobs_);
  for (const Sequence sequence : {1u, 2u}) older.push(add(sequence));
  older.push(add(3, kBob));
  older.push(add(4));
  push(5);
  push(6, kCid);
  queue_.put_in_front(std::move(older));
  EXPECT_EQ(queue_.size(), 6u);
  EXPECT_EQ(queue_.oldest(), slots_[1]);
  EXPECT_THAT(pop_all(), ElementsAre(1, 3, 6, 2, 4, 5));
}

TEST_F(ReadyQueueTest, RandomComingsAndGoingsLoseNothingAndKeepEveryClientsOrder) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::map<uint32_t, std::set<Sequence>> expected;  // by client
  Sequence next = 1;
  size_t n_expected = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto client = static_cast<uint32_t>(random() % 3);
    std::set<Sequence>& mine = expected[client];
    const uint64_t dice = random() % 10;
    if (dice < 4) {
      push(next, client, static_cast<uint32_t>(random() % 50));
      mine.insert(next++);
      ++n_expected;
    } else if (dice < 6 && !mine.empty()) {  // away
      const Sequence sequence = *std::next(mine.begin(), static_cast<long>(random() % mine.size()));
      queue_.remove(slots_[sequence]);
      if (random() % 2 == 0) {
        queue_.push(slots_[sequence]);  // and back
      } else {
        jobs_.erase(slots_[sequence]);
        mine.erase(sequence);
        --n_expected;
      }
    } else if (const Sequence sequence = pop(); sequence != 0) {
      std::set<Sequence>& theirs = expected[job(sequence).client];
      ASSERT_EQ(*theirs.begin(), sequence);
      if (dice == 9) {
        queue_.push(slots_[sequence]);
      } else {
        theirs.erase(sequence);
        jobs_.erase(slots_[sequence]);
        --n_expected;
      }
    }
    ASSERT_EQ(queue_.size(), n_expected);
  }
  EXPECT_EQ(pop_all().size(), n_expected);
}

TEST(TimersTest, JobsComeOutAtTheirTimeAndNotBefore) {
  Timers timers;
  const TimePoint start{};
  timers.add(start + 20ms, {2, 2});
  timers.add(start + 10ms, {1, 1});
  timers.add(start + 30ms, {3, 3});
  EXPECT_EQ(timers.next(), start + 10ms);
  EXPECT_EQ(timers.take(start + 9ms), std::nullopt);
  EXPECT_EQ(timers.take(start + 20ms)->slot, 1u);
  EXPECT_EQ(timers.take(start + 20ms)->slot, 2u);
  EXPECT_EQ(timers.take(start + 20ms), std::nullopt);
  EXPECT_EQ(timers.next(), start + 30ms);
}

// A job with a day to live that is done in a second must not be remembered for a day.
TEST(TimersTest, WhatIsNotNeededIsDroppedInTheEndAndWhatIsNeededStays) {
  Timers timers;
  const TimePoint start{};
  for (Slot job = 0; job < 100'000; ++job) {
    timers.add(start + 24h - milliseconds(job), {job, job});
    if (job % 100 == 0) timers.tidy([&](JobTable::Ticket one) { return one.slot % 1'000 == 7; });
  }
  EXPECT_LT(timers.size(), 10'000u);
  std::vector<Slot> kept;
  while (const auto job = timers.take(start + 24h)) {
    if (job->slot % 1'000 == 7) kept.push_back(job->slot);
  }
  ASSERT_EQ(kept.size(), 100u);
  EXPECT_EQ(kept.front(), 99'007u);
  EXPECT_EQ(kept.back(), 7u);
}

}  // namespace
}  // namespace tandem::broker
