// Jobs that a worker has and did not begin, while another one has nothing to do; and workers that shall get
// no more.

#include <algorithm>

#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

class DispatcherRecallTest : public DispatcherStory {
 protected:
  // The names of the jobs that a worker is asked for, in whatever order.
  Lines asked(const std::string& worker) {
    Lines names;
    const std::string begin = worker + ": give back ";
    for (const std::string& line : told()) {
      if (line.starts_with(begin)) names.push_back(line.substr(begin.size()));
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  void give_back(const std::string& worker, const std::string& job, uint32_t attempt) {
    hear(Door::kWork, "conn-" + worker, Returned{{held(job, attempt)}});
  }
  std::string drain(const std::string& name, bool is_on = true) {
    hear(Door::kSubmit, "conn-admin", Drain{1, name, is_on});
    const bool is_refused = std::holds_alternative<Refused>(answers_.at(0));
    answers_.clear();
    return is_refused ? "refused" : "done";
  }
};

// A complaint about other queues: idle workers beside one that hoards what it fetched in advance.
TEST_F(DispatcherRecallTest, AnIdleWorkerGetsWhatABusyOneHasNotBegun) {
  ready("ann", 4);
  submit_all({"one", "two", "three", "four"}, {});
  EXPECT_EQ(assignments().size(), 4u);
  ready("bob", 4);
  pass(200ms);
  EXPECT_THAT(asked("ann"), ElementsAre("four", "three"));
  give_back("ann", "four", 1);
  give_back("ann", "three", 1);
  EXPECT_THAT(assignments(), UnorderedElementsAre("three -> bob, attempt 2", "four -> bob, attempt 2"));
  EXPECT_EQ(dispatcher_->counters().returned, 2u);
}

TEST_F(DispatcherRecallTest, NobodyIsAskedWhenNobodyIsIdleOrJobsWaitOrTheyOnlyJustCame) {
  ready("ann", 2);
  ready("bob", 1);
  submit_all({"one", "two", "three"}, {});
  pass(1s);
  EXPECT_THAT(asked("ann"), IsEmpty());
  submit("four");
  finish("bob", "three", 1, "");
  finish("bob", "two", 1, "");
  finish("bob", "one", 1, "");
  pass(50ms);
  EXPECT_THAT(asked("ann"), IsEmpty());
}

// Heartbeats name jobs in any order, and the one that was begun may be named last.
TEST_F(DispatcherRecallTest, TheJobsThatCameLastAreAskedForWhateverTheHeartbeatsSay) {
  ready("ann", 4);
  submit("begun");
  pass(200ms);
  submit("waiting");
  pass(2s);
  beat("ann", {held("waiting", 1), held("begun", 1)});
  ready("bob", 4);
  pass(500ms);
  EXPECT_THAT(asked("ann"), ElementsAre("waiting"));
}

// The fullest worker may have begun all it has. The next one is asked, too.
TEST_F(DispatcherRecallTest, NotOnlyTheFullestWorkerIsAsked) {
  ready("ann", 4);
  submit_all({"a1", "a2", "a3", "a4"}, {});
  ready("bob", 2);
  submit_all({"b1", "b2"}, {});
  ready("cid", 1);
  Lines all;
  for (int i = 0; i < 10; ++i) {
    pass(100ms);
    for (const std::string& line : told()) all.push_back(line);
  }
  EXPECT_THAT(all, ::testing::Contains("ann: give back a4"));
  EXPECT_THAT(all, ::testing::Contains("bob: give back b2"));
}

// The hash may prefer the host that has just said that it cannot begin it.
TEST_F(DispatcherRecallTest, AJobThatWasGivenBackGoesToSomebodyElseWhoHasRoom) {
  for (const std::string host : {"one", "two", "three"}) join("at " + host, {.host = host, .credit = 4});
  const auto ask_for = [&](const std::string& job, uint64_t route, uint32_t cost) {
    submit(job, {.cost = cost, .route = route});
    const std::string line = assignments().at(0);
    return line.substr(line.find("-> ") + 3, line.find(',') - line.find("-> ") - 3);
  };
  // A costly job somewhere, two cheap ones at another host, a third host with nothing.
  const std::string costly = ask_for("costly", 1, 10'000);
  uint64_t route = 1;
  std::string full;
  for (; full.empty() || full == costly; ++route) {
    const std::string job = "probe" + std::to_string(route);
    full = ask_for(job, route, 1);
    finish(full, job, 1, "");
  }
  --route;
  EXPECT_EQ(ask_for("begun", route, 1), full);
  EXPECT_EQ(ask_for("waiting", route, 1), full);
  pass(500ms);
  EXPECT_THAT(asked(full), ElementsAre("waiting"));
  give_back(full, "waiting", 1);
  EXPECT_THAT(assignments(), ElementsAre(::testing::Not(HasSubstr(full))));
  // When it is done with something it is as good as anybody.
  finish(full, "begun", 1, "");
  EXPECT_EQ(ask_for("next", route, 1), full);
}

TEST_F(DispatcherRecallTest, WhatIsGivenBackDoesNotCountAsAnAttempt) {
  ready("ann", 1);
  submit("one", {.attempts_max = 1});
  for (uint32_t attempt = 1; attempt <= 5; ++attempt) give_back("ann", "one", attempt);
  EXPECT_EQ(fetch("one"), "one leased, attempt 6");
  EXPECT_THAT(published(), IsEmpty());
}

TEST_F(DispatcherRecallTest, WhoDoesNotHaveAJobCannotGiveItBack) {
  ready("ann", 1);
  ready("bob", 0);
  submit("one");
  give_back("bob", "one", 1);
  give_back("ann", "one", 7);
  give_back("ann", "nothing", 1);
  EXPECT_EQ(fetch("one"), "one leased, attempt 1");
}

// A heartbeat from before it, that comes after it, must not bring the lease back.
TEST_F(DispatcherRecallTest, AHeartbeatThatWasOvertakenDoesNotBringTheLeaseBack) {
  ready("ann", 1);
  submit("one", {.attempts_max = 1});
  hear(Door::kWork, "conn-ann", Ready{0, 0, 0});
  give_back("ann", "one", 1);
  beat("ann", {held("one", 1)});
  EXPECT_EQ(fetch("one"), "one ready, attempt 1");
}

// ---- drain ----

TEST_F(DispatcherRecallTest, ADrainedWorkerFinishesWhatItHasAndGetsNoMore) {
  ready("ann", 2);
  submit("one");
  EXPECT_EQ(drain("ann"), "done");
  submit("two");
  finish("ann", "one", 1, "hello");
  EXPECT_EQ(fetch("one"), "one done, attempt 1: hello");
  assignments();
  pass(1min);
  EXPECT_THAT(assignments(), IsEmpty());
  EXPECT_TRUE(status().workers.at(0).is_draining);
  EXPECT_EQ(drain("ann", false), "done");
  EXPECT_THAT(assignments(), ElementsAre("two -> ann, attempt 1"));
}

TEST_F(DispatcherRecallTest, AHostIsDrainedByItsName) {
  join("ann", {.host = "left", .credit = 1});
  join("bob", {.host = "left", .credit = 1});
  join("cid", {.host = "right", .credit = 1});
  EXPECT_EQ(drain("left"), "done");
  submit_all({"one", "two"}, {});
  EXPECT_THAT(assignments(), ElementsAre("one -> cid, attempt 1"));
  EXPECT_EQ(drain("nobody"), "refused");
}

TEST_F(DispatcherRecallTest, AReconnectionDoesNotEndADrain) {
  ready("ann", 1);
  drain("ann");
  ready("ann", 1, {}, "new connection");
  submit("one");
  EXPECT_THAT(assignments(), IsEmpty());
}

}  // namespace
}  // namespace tandem::broker
