// Delays and times to live, by a clock that may be set.

#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

using DispatcherTimesTest = DispatcherStory;

constexpr int64_t kHourMs = 3'600'000;

TEST_F(DispatcherTimesTest, ADelayedJobIsLentAtItsTimeAndNotBefore) {
  ready("ann", 1);
  EXPECT_EQ(submit("later", {.delay_ms = 60'000}), "later ready");
  EXPECT_EQ(status().delayed, 1u);
  EXPECT_EQ(list().at(0).delay_ms, 60'000u);
  pass(59'999ms);
  EXPECT_THAT(assignments(), IsEmpty());
  pass(1ms);
  EXPECT_THAT(assignments(), ElementsAre("later -> ann, attempt 1"));
}

TEST_F(DispatcherTimesTest, TheBrokerWakesUpForThem) {
  submit("later", {.delay_ms = 60'000});
  EXPECT_EQ(wake_at_, clock_.now() + 1min);
  submit("short", {.ttl_ms = 5'000});
  EXPECT_EQ(wake_at_, clock_.now() + 5s);
}

TEST_F(DispatcherTimesTest, AJobExpiresWhereverItIs) {
  submit("delayed", {.delay_ms = 9'000, .ttl_ms = 10'000});
  submit("waiting", {.ttl_ms = 10'000});
  ready("ann", 1);
  assignments();
  told();
  submit("behind", {.ttl_ms = 10'000});
  pass(9'999ms);
  EXPECT_THAT(published(), IsEmpty());
  pass(1ms);
  EXPECT_THAT(published(), UnorderedElementsAre(HasSubstr("delayed expired"), HasSubstr("waiting expired"),
                                                HasSubstr("behind expired")));
  EXPECT_THAT(told(), ElementsAre("ann: cancel waiting"));
}

TEST_F(DispatcherTimesTest, AJobThatCannotBeInTimeIsRefusedAtOnce) {
  EXPECT_EQ(submit("hopeless", {.delay_ms = 10'000, .ttl_ms = 10'000}), "hopeless refused: invalid");
  EXPECT_EQ(submit("possible", {.delay_ms = 10'000, .ttl_ms = 10'001}), "possible ready");
}

TEST_F(DispatcherTimesTest, DelaysAndTimesToLiveGoOnWhileTheBrokerIsAway) {
  submit("later", {.delay_ms = 60'000});
  submit("short", {.ttl_ms = 30'000});
  clock_.advance(40s);
  restart();
  ready("ann", 5);
  EXPECT_THAT(published(), ElementsAre(HasSubstr("short expired")));
  pass(19s);
  EXPECT_THAT(assignments(), IsEmpty());
  pass(1s);
  EXPECT_THAT(assignments(), ElementsAre("later -> ann, attempt 1"));
}

// ---- somebody sets the clock ----

TEST_F(DispatcherTimesTest, AClockThatIsSetMovesNothingWhileTheBrokerRuns) {
  for (const int64_t jump_ms : {kHourMs, -kHourMs}) {
    const std::string at = std::to_string(jump_ms);
    submit("later" + at, {.delay_ms = 10'000});
    submit("short" + at, {.ttl_ms = 20'000});
    clock_.set_wall_ms(clock_.wall_ms() + jump_ms);
    pass(9s);
    EXPECT_THAT(published(), IsEmpty());
    EXPECT_EQ(status().delayed, 1u);
    pass(1s);
    EXPECT_EQ(status().delayed, 0u);
    pass(10s);
    EXPECT_THAT(published(), ElementsAre(HasSubstr("short" + at + " expired")));
  }
}

// Set back while it was away, the wait is at most what it was: a job that waits a minute does not wait an
// hour.
TEST_F(DispatcherTimesTest, AClockThatWasSetBackMakesNoWaitLonger) {
  submit("later", {.delay_ms = 60'000});
  submit("short", {.ttl_ms = 30'000});
  clock_.set_wall_ms(clock_.wall_ms() - kHourMs);
  restart();
  EXPECT_EQ(list().at(0).delay_ms, 60'000u);
  EXPECT_EQ(list().at(1).ttl_ms, 30'000u);
  pass(30s);
  EXPECT_THAT(published(), ElementsAre(HasSubstr("short expired")));
  ready("ann", 1);
  pass(30s);
  EXPECT_THAT(assignments(), ElementsAre("later -> ann, attempt 1"));
}

// The worker counts what it is told: a clock that was set forward must not end jobs that have time left.
TEST_F(DispatcherTimesTest, AWorkerIsNotToldThatAJobIsOverByAClockThatWasSetForward) {
  const auto told_ms = [&](const std::string& worker) {
    Hello hello;
    hello.worker = worker;
    hello.credit_max = 1;
    std::vector<Event> events;
    events.push_back({{Door::kWork, "conn-" + worker}, hello});
    const Plan plan = dispatcher_->turn({clock_.now(), clock_.wall_ms()}, std::move(events));
    uint64_t ttl_ms = 12'345;
    for (const Speech& speech : plan.speeches) {
      if (const auto* message = std::get_if<Job>(&speech.message)) ttl_ms = message->items.at(0).ttl_ms;
    }
    return ttl_ms;
  };
  submit_all({"one", "two"}, {.ttl_ms = 30'000});
  EXPECT_EQ(told_ms("ann"), 30'000u);
  clock_.set_wall_ms(clock_.wall_ms() + kHourMs);
  EXPECT_EQ(told_ms("bob"), 0u);  // no limit: the broker calls it off
}

}  // namespace
}  // namespace tandem::broker
