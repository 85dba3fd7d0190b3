#include "worker/session/broker_dialogue.h"

#include <gmock/gmock.h>

namespace tandem {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class BrokerDialogueTest : public ::testing::Test {
 protected:
  static Hello hello() {
    Hello hello;
    hello.worker = "ann";
    hello.credit_max = 8;
    hello.interactive_extra = 2;
    hello.cost_max = 4096;
    return hello;
  }

  void welcome() {
    dialogue_.due(clock_.now());
    dialogue_.hear(Welcome{.lease_ms = 9000, .heartbeat_ms = 3000}, clock_.now());
  }
  BrokerDialogue::Heard lend(const JobId& id, uint32_t attempt = 1) {
    return dialogue_.hear(Job{.lease_ms = 9000, .items = {{id, attempt, "text"}}}, clock_.now());
  }
  // "hello 1@2": Hello that holds job 1 under attempt 2; "heartbeat", "returned"; "" when nothing is due.
  std::string due() {
    std::string said;
    for (const Message& message : dialogue_.due(clock_.now())) {
      if (!said.empty()) said += ", ";
      const std::vector<HeldLease>* held = nullptr;
      if (const auto* one = std::get_if<Hello>(&message)) {
        said += one->credit_max == 0 ? "hello without credit" : "hello";
        held = &one->held;
      } else if (const auto* other = std::get_if<Heartbeat>(&message)) {
        said += "heartbeat";
        held = &other->held;
      } else {
        said += "returned";
        held = &std::get<Returned>(message).held;
      }
      for (const HeldLease& lease : *held) {
        said += " " + std::to_string(lease.id.bytes[0]) + "@" + std::to_string(lease.attempt);
      }
    }
    return said;
  }
  static JobId id(uint8_t number) {
    JobId id;
    id.bytes[0] = number;
    return id;
  }
  static ResultItem result(uint8_t number, uint32_t attempt = 1) {
    return {id(number), attempt, {}, false, ""};
  }

  ManualClock clock_;
  BrokerDialogue dialogue_{hello(), 1s};
};

TEST_F(BrokerDialogueTest, SaysHelloUntilItIsWelcomed) {
  EXPECT_EQ(due(), "hello");
  EXPECT_EQ(due(), "");
  clock_.advance(999ms);
  EXPECT_EQ(due(), "");
  clock_.advance(1ms);
  EXPECT_EQ(due(), "hello");
  EXPECT_FALSE(dialogue_.welcomed());
  dialogue_.hear(Welcome{9000, 3000}, clock_.now());
  EXPECT_TRUE(dialogue_.welcomed());
  clock_.advance(2999ms);
  EXPECT_EQ(due(), "");
}

TEST_F(BrokerDialogueTest, NamesWhatItHoldsInEveryHeartbeat) {
  welcome();
  const auto heard = lend(id(1), 2);
  ASSERT_THAT(heard.jobs, SizeIs(1));
  EXPECT_EQ(heard.jobs[0].payload, "text");
  EXPECT_EQ(heard.jobs[0].attempt, 2u);
  EXPECT_EQ(heard.jobs[0].arrived, clock_.now());
  clock_.advance(3s);
  EXPECT_EQ(due(), "heartbeat 1@2");
  clock_.advance(3s);
  EXPECT_EQ(due(), "heartbeat 1@2");

  dialogue_.handed_over(result(1, 2));
  clock_.advance(3s);
  EXPECT_EQ(due(), "heartbeat");
}

TEST_F(BrokerDialogueTest, TellsARestartedBrokerWhatItStillHolds) {
  welcome();
  lend(id(1));
  lend(id(2));
  dialogue_.handed_over(result(1));
  dialogue_.hear(WhoAreYou{}, clock_.now());
  EXPECT_EQ(due(), "hello 2@1");
}

TEST_F(BrokerDialogueTest, BeginsWithHelloWhenTheBrokerIsBack) {
  welcome();
  lend(id(1));
  dialogue_.broker_is_away(clock_.now());
  EXPECT_EQ(due(), "");
  dialogue_.broker_is_back(clock_.now());
  EXPECT_EQ(due(), "hello 1@1");
}

TEST_F(BrokerDialogueTest, ForgetsWhatIsCalledOff) {
  welcome();
  lend(id(1));
  lend(id(2));
  const auto heard = dialogue_.hear(Cancel{0, {id(2), id(7)}}, clock_.now());
  EXPECT_THAT(heard.cancelled, ElementsAre(id(2)));
  EXPECT_FALSE(dialogue_.wants(result(2)));
  EXPECT_TRUE(dialogue_.wants(result(1)));
  clock_.advance(3s);
  EXPECT_EQ(due(), "heartbeat 1@1");
}

// The lease ran out while the result was on its way, and the job came to the same worker once more.
TEST_F(BrokerDialogueTest, HoldsAJobThatWasLentAgainUntilItsNewAttemptIsAnswered) {
  welcome();
  lend(id(1), 1);
  lend(id(1), 2);
  dialogue_.handed_over(result(1, 1));
  EXPECT_EQ(dialogue_.n_held(), 1u);
  dialogue_.handed_over(result(1, 2));
  EXPECT_EQ(dialogue_.n_held(), 0u);
}

TEST_F(BrokerDialogueTest, AsksForNoMoreWhenItStops) {
  welcome();
  lend(id(1));
  EXPECT_EQ(dialogue_.drain(), Message(Ready{0, 4096, 0}));
  dialogue_.hear(WhoAreYou{}, clock_.now());
  EXPECT_EQ(due(), "hello without credit 1@1") << "a restarted broker must not send more either";
}

// It was under way when we asked for no more.
TEST_F(BrokerDialogueTest, GivesAJobBackAtOnceThatComesWhenItStops) {
  welcome();
  lend(id(1));
  dialogue_.drain();
  EXPECT_THAT(lend(id(2), 3).jobs, IsEmpty());
  EXPECT_EQ(due(), "returned 2@3");
  EXPECT_THAT(lend(id(1), 2).jobs, SizeIs(1)) << "this one is held, and gets its new number";
  EXPECT_EQ(due(), "");
  EXPECT_THAT(dialogue_.held_ids(), ElementsAre(id(1)));
}

TEST_F(BrokerDialogueTest, TellsHowUrgentAJobIsAndWhenItsTimeIsOver) {
  welcome();
  clock_.advance(1s);
  JobItem item{id(1), 1, "text", Urgency::kInteractive, 1500};
  const auto heard = dialogue_.hear(Job{9000, {item, {id(2), 1, "text"}}}, clock_.now());
  ASSERT_THAT(heard.jobs, SizeIs(2));
  EXPECT_EQ(heard.jobs[0].urgency, Urgency::kInteractive);
  EXPECT_EQ(heard.jobs[0].expires, clock_.now() + 1500ms);
  EXPECT_EQ(heard.jobs[1].urgency, Urgency::kBulk);
  EXPECT_EQ(heard.jobs[1].expires, TimePoint::max());
}

TEST_F(BrokerDialogueTest, TellsOnceOfAJobWhoseTimeIsOver) {
  welcome();
  const auto lend_for = [&](uint8_t number, uint64_t ttl_ms) {
    dialogue_.hear(Job{9000, {{id(number), 1, "text", Urgency::kBulk, ttl_ms}}}, clock_.now());
  };
  lend_for(1, 2000);
  lend_for(2, 1000);
  lend_for(3, 0);
  lend_for(4, UINT64_MAX);
  lend_for(5, 1000);
  dialogue_.handed_over(result(5));
  EXPECT_EQ(dialogue_.wake_at(), clock_.now() + 1s);
  clock_.advance(999ms);
  EXPECT_THAT(dialogue_.overdue(clock_.now()), IsEmpty());
  clock_.advance(1ms);
  EXPECT_THAT(dialogue_.overdue(clock_.now()), ElementsAre(id(2)));
  EXPECT_THAT(dialogue_.overdue(clock_.now()), IsEmpty());
  EXPECT_EQ(dialogue_.wake_at(), clock_.now() + 1s);
  clock_.advance(1s);
  EXPECT_THAT(dialogue_.overdue(clock_.now()), ElementsAre(id(1)));
  EXPECT_EQ(dialogue_.n_held(), 4u) << "the frontend may have begun them: they are held until it says so";
}

TEST_F(BrokerDialogueTest, RecallsWhatItHoldsAndNothingElse) {
  welcome();
  lend(id(1));
  lend(id(2));
  dialogue_.handed_over(result(2));
  const auto heard = dialogue_.hear(Recall{{id(1), id(2), id(7)}}, clock_.now());
  EXPECT_THAT(heard.recalled, ElementsAre(id(1)));
  EXPECT_THAT(heard.complaint, IsEmpty());
}

TEST_F(BrokerDialogueTest, SaysAtOnceWhatIsGivenBackAndNamesItNoMore) {
  welcome();
  lend(id(1), 4);
  lend(id(2));
  dialogue_.give_back({id(1), 4});
  dialogue_.give_back({id(7), 1});
  EXPECT_EQ(due(), "returned 1@4");
  EXPECT_FALSE(dialogue_.wants(result(1, 4))) << "it is somebody else's from now on";
  clock_.advance(3s);
  EXPECT_EQ(due(), "heartbeat 2@1");
}

TEST_F(BrokerDialogueTest, KeepsAJobThatWasLentAgainWhileItWasGivenBack) {
  welcome();
  lend(id(1), 1);
  lend(id(1), 2);
  dialogue_.give_back({id(1), 1});
  EXPECT_EQ(due(), "");
  EXPECT_TRUE(dialogue_.wants(result(1, 2))) << "the frontend begins it anew under this number";

  lend(id(2), 1);
  dialogue_.give_back({id(2), 1});
  lend(id(2), 2);  // before we had said it
  EXPECT_EQ(due(), "");
  EXPECT_TRUE(dialogue_.wants(result(2, 2)));
}

TEST_F(BrokerDialogueTest, DoesNotGiveBackWhatWasCalledOff) {
  welcome();
  lend(id(1));
  dialogue_.hear(Cancel{0, {id(1)}}, clock_.now());
  dialogue_.give_back({id(1), 1});
  EXPECT_EQ(due(), "");
}

// To a broker that is away nothing can be said; when it is back it hears it, unless it knows nothing of us.
TEST_F(BrokerDialogueTest, GivesBackToABrokerThatKnowsIt) {
  welcome();
  lend(id(1));
  dialogue_.broker_is_away(clock_.now());
  dialogue_.give_back({id(1), 1});
  EXPECT_EQ(due(), "");
  dialogue_.broker_is_back(clock_.now());
  EXPECT_EQ(due(), "hello");
  dialogue_.hear(Welcome{9000, 3000}, clock_.now());
  EXPECT_EQ(due(), "returned 1@1");

  lend(id(2));
  dialogue_.give_back({id(2), 1});
  dialogue_.hear(WhoAreYou{}, clock_.now());
  EXPECT_EQ(due(), "hello");
  dialogue_.hear(Welcome{9000, 3000}, clock_.now());
  EXPECT_EQ(due(), "");
}

// Heartbeats are not answered, so a broker that is gone (its host lost power) looks like one without work.
// Hello is answered, and says what a heartbeat would.
TEST_F(BrokerDialogueTest, SaysHelloToABrokerThatIsSilentForSeveralLeases) {
  welcome();
  lend(id(1));
  for (int i = 0; i < 8; ++i) {
    clock_.advance(3s);
    EXPECT_EQ(due(), "heartbeat 1@1") << i;
    EXPECT_FALSE(dialogue_.is_silent(clock_.now()));
  }
  clock_.advance(3s);
  EXPECT_TRUE(dialogue_.is_silent(clock_.now()));
  EXPECT_EQ(due(), "hello 1@1");
  EXPECT_TRUE(dialogue_.welcomed()) << "it may live, and have nothing to say";
  clock_.advance(3s);
  EXPECT_EQ(due(), "hello 1@1") << "until it is heard of";
  // An idle broker answers that, and nobody is warned of it.
  EXPECT_FALSE(dialogue_.is_deaf(clock_.now()));
  clock_.advance(6s);
  EXPECT_TRUE(dialogue_.is_deaf(clock_.now()));
  dialogue_.hear(Welcome{9000, 3000}, clock_.now());
  EXPECT_FALSE(dialogue_.is_silent(clock_.now()));
  EXPECT_FALSE(dialogue_.is_deaf(clock_.now()));
  clock_.advance(3s);
  EXPECT_EQ(due(), "heartbeat 1@1");
}

TEST_F(BrokerDialogueTest, CountsEveryWordOfTheBrokerAsASignOfLife) {
  welcome();
  for (int i = 0; i < 20; ++i) {
    clock_.advance(9s);
    EXPECT_EQ(due(), "heartbeat");
    dialogue_.hear(Cancel{0, {id(7)}}, clock_.now());
  }
}

TEST_F(BrokerDialogueTest, GivesUpOnABrokerOfAnotherVersion) {
  const Error other{ErrorCode::kUnsupported, "expected protocol version 3, found 2"};
  EXPECT_EQ(dialogue_.hear(Refused{0, other}, clock_.now()).stranger, other);
  EXPECT_FALSE(dialogue_.hear(Refused{0, {ErrorCode::kInvalid, "no name"}}, clock_.now()).stranger);
}

TEST_F(BrokerDialogueTest, ComplainsOfWhatIsNotForWorkers) {
  EXPECT_THAT(dialogue_.hear(Refused{0, {ErrorCode::kInvalid, "no such worker"}}, clock_.now()).complaint,
              HasSubstr("no such worker"));
  EXPECT_THAT(dialogue_.hear(Accepted{}, clock_.now()).complaint, HasSubstr("found 'accepted'"));
  EXPECT_THAT(dialogue_.hear(Job{}, clock_.now()).complaint, IsEmpty());
}

}  // namespace
}  // namespace tandem
