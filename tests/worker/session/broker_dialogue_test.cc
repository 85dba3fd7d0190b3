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
    return hello;
  }

  void welcome() {
    dialogue_.due(clock_.now());
    dialogue_.hear(Welcome{.lease_ms = 9000, .heartbeat_ms = 3000}, clock_.now());
  }
  BrokerDialogue::Heard lend(const JobId& id, uint32_t attempt = 1) {
    return dialogue_.hear(Job{.lease_ms = 9000, .items = {{id, attempt, "text"}}}, clock_.now());
  }
  // "hello 1@2": Hello that holds job 1 under attempt 2; "heartbeat", "" when nothing is due.
  std::string due() {
    std::string said;
    for (const Message& message : dialogue_.due(clock_.now())) {
      const std::vector<HeldLease>* held = nullptr;
      if (const auto* one = std::get_if<Hello>(&message)) {
        said += one->credit_max == 0 ? "hello without credit" : "hello";
        held = &one->held;
      } else if (const auto* other = std::get_if<Heartbeat>(&message)) {
        said += "heartbeat";
        held = &other->held;
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
  EXPECT_EQ(std::get<Ready>(dialogue_.drain()).credit_max, 0u);
  dialogue_.hear(WhoAreYou{}, clock_.now());
  EXPECT_EQ(due(), "hello without credit 1@1") << "a restarted broker must not send more either";
}

TEST_F(BrokerDialogueTest, ComplainsOfWhatIsNotForWorkers) {
  EXPECT_THAT(dialogue_.hear(Refused{0, {ErrorCode::kInvalid, "no such worker"}}, clock_.now()).complaint,
              HasSubstr("no such worker"));
  EXPECT_THAT(dialogue_.hear(Accepted{}, clock_.now()).complaint, HasSubstr("found 'accepted'"));
  EXPECT_THAT(dialogue_.hear(Job{}, clock_.now()).complaint, IsEmpty());
}

}  // namespace
}  // namespace tandem
