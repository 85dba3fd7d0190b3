// Which job goes out next: urgency, priority, a fair share, deadline, arrival.

#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

class DispatcherOrderTest : public DispatcherStory {
 protected:
  // The names of the next `n` jobs, each of which is finished before the next one goes out.
  Lines served(int n) {
    Lines names;
    if (!alive_) ready("ann", 1);
    alive_ = true;
    for (int i = 0; i < n; ++i) {
      const Lines lent = assignments();
      if (lent.empty()) break;
      names.push_back(lent.at(0).substr(0, lent.at(0).find(' ')));
      finish("ann", names.back(), 1, "");
    }
    return names;
  }

 private:
  bool alive_ = false;
};

TEST_F(DispatcherOrderTest, InteractiveGoesBeforeBulkWhateverTheirPriorities) {
  submit("bulk", {.priority = 9});
  submit("interactive", {.urgency = Urgency::kInteractive, .priority = 0});
  EXPECT_THAT(served(2), ElementsAre("interactive", "bulk"));
}

TEST_F(DispatcherOrderTest, ALargerPriorityIsSooner) {
  submit("low", {.priority = 0});
  submit("usual");
  submit("high", {.priority = 9});
  EXPECT_THAT(served(3), ElementsAre("high", "usual", "low"));
}

TEST_F(DispatcherOrderTest, OfOneClientTheEarliestDeadlineIsFirstThenTheFirstToArrive) {
  submit_all({"one", "two"}, {});
  submit("late", {.ttl_ms = 60'000});
  submit("soon", {.ttl_ms = 30'000});
  EXPECT_THAT(served(4), ElementsAre("soon", "late", "one", "two"));
}

// A complaint about other queues: one tenant starves the rest. A million jobs of one client in front, and ten
// of another are served as if there were ten.
TEST_F(DispatcherOrderTest, AClientWithAMillionJobsDoesNotDelayOneWithTen) {
  uint64_t n = 0;
  for (int message = 0; message < 250; ++message) {
    Submit submit{1, "big", {}};
    for (int i = 0; i < 4'000; ++i) {
      SubmitItem item;
      for (int byte = 0; byte < 8; ++byte)
        item.id.bytes[static_cast<size_t>(byte)] = static_cast<uint8_t>(n >> 8 * byte);
      item.payload = std::to_string(n++);
      submit.items.push_back(std::move(item));
    }
    hear(Door::kSubmit, "conn-big", std::move(submit));
    ASSERT_EQ(answer<Accepted>().items.size(), 4'000u);
  }
  ASSERT_EQ(dispatcher_->n_ready(), 1'000'000u);
  Lines small;
  for (int i = 0; i < 10; ++i) small.push_back("small" + std::to_string(i));
  submit_all(small, {.client = "small"});
  ready("ann", 20);
  size_t n_small = 0;
  for (const std::string& line : assignments()) n_small += line.starts_with("small");
  EXPECT_EQ(n_small, 10u);
}

// The same complaint from the other side: one job at a time, again and again.
TEST_F(DispatcherOrderTest, AClientThatAlwaysHasOneJobWaitingDoesNotStarveOneWithMany) {
  submit_all({"many1", "many2", "many3", "many4", "many5", "many6"}, {.client = "many"});
  submit("one1", {.client = "one"});
  ready("ann", 1);
  Lines order;
  for (int next = 2; order.size() < 5;) {
    const std::string line = assignments().at(0);
    order.push_back(line.substr(0, line.find(' ')));
    if (order.back().starts_with("one")) submit("one" + std::to_string(next++), {.client = "one"});
    finish("ann", order.back(), 1, "");
  }
  EXPECT_THAT(order, ElementsAre("many1", "one1", "many2", "one2", "many3"));
}

// Nor by asking the same: its job would wait in the other one's line.
TEST_F(DispatcherOrderTest, AnEqualJobDoesNotWaitInTheLineOfAClientWithMore) {
  submit_all({"many1", "many2", "many3", "many4"}, {.client = "many"});
  submit("few", {.client = "few", .of = "many4"});
  EXPECT_THAT(served(2), ElementsAre("many1", "few"));
  EXPECT_EQ(fetch("many4"), "many4 done, attempt 1");
  EXPECT_THAT(served(9), ElementsAre("many2", "many3"));
}

TEST_F(DispatcherOrderTest, SharesAreKeptWhenAJobComesBack) {
  submit_all({"big1", "big2"}, {.client = "big", .cost = 100});
  submit_all({"small1", "small2"}, {.client = "small", .cost = 100});
  ready("ann", 1);
  fail_job("ann", "big1", 1, "out of memory", true);
  pass(1s);
  // small1 is being worked on; big1 stands before big2 again, and was paid for once.
  finish("ann", "small1", 1, "");
  finish("ann", "big1", 2, "");
  EXPECT_THAT(assignments(), ElementsAre("big1 -> ann, attempt 1", "small1 -> ann, attempt 1",
                                         "big1 -> ann, attempt 2", "small2 -> ann, attempt 1"));
}

TEST_F(DispatcherOrderTest, OrderIsTheSameAfterARestart) {
  config_.restart_grace = 0ms;
  submit("bulk");
  submit("dated", {.ttl_ms = 60'000});
  submit("high", {.priority = 9});
  submit("interactive", {.urgency = Urgency::kInteractive});
  restart();
  EXPECT_THAT(served(4), ElementsAre("interactive", "high", "dated", "bulk"));
}

TEST_F(DispatcherOrderTest, AWorkerTakesInteractiveJobsOnTopOfItsCredit) {
  join("ann", {.credit = 1, .interactive_extra = 1});
  submit_all({"bulk1", "bulk2"}, {});
  EXPECT_THAT(assignments(), ElementsAre("bulk1 -> ann, attempt 1"));
  submit_all({"chat1", "chat2"}, {.urgency = Urgency::kInteractive});
  EXPECT_THAT(assignments(), ElementsAre("chat1 -> ann, attempt 1"));
}

TEST_F(DispatcherOrderTest, AWorkerIsCreditedInCostTooAndOneWithoutJobsMayHaveAny) {
  join("ann", {.credit = 10, .cost_max = 100});
  submit("huge", {.cost = 1'000});
  submit("tiny", {.cost = 1});
  EXPECT_THAT(assignments(), ElementsAre("huge -> ann, attempt 1"));
  finish("ann", "huge", 1, "");
  submit("half", {.cost = 99});
  submit("more", {.cost = 1});
  EXPECT_THAT(assignments(), ElementsAre("tiny -> ann, attempt 1", "half -> ann, attempt 1"));
}

}  // namespace
}  // namespace tandem::broker
