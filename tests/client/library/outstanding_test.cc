// What the client decides, with time and messages given.

#include "client/library/outstanding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

JobId id_of(uint8_t n) {
  JobId id;
  id.bytes[0] = n;
  return id;
}

class OutstandingTest : public ::testing::Test {
 protected:
  void add(uint8_t n, size_t payload_bytes = 10) {
    SubmitItem item;
    item.id = id_of(n);
    item.payload = std::string(payload_bytes, 'x');
    outstanding_.add(std::move(item));
  }
  // All messages that are due now, each as "submit 1 2" or "fetch 3".
  std::vector<std::string> say() {
    std::vector<std::string> said;
    while (auto message = outstanding_.next(now_)) {
      std::string& text = said.emplace_back();
      if (const auto* submit = std::get_if<Submit>(&*message)) {
        text = "submit";
        for (const SubmitItem& item : submit->items) text += " " + std::to_string(item.id.bytes[0]);
        request_ = submit->request;
      } else if (const auto* fetch = std::get_if<Fetch>(&*message)) {
        text = "fetch";
        for (const JobId& id : fetch->ids) text += " " + std::to_string(id.bytes[0]);
        request_ = fetch->request;
      } else if (const auto* cancel = std::get_if<Cancel>(&*message)) {
        text = "cancel " + std::to_string(cancel->ids.size());
      }
    }
    return said;
  }
  void accept(std::vector<uint8_t> numbers, JobState state = JobState::kReady) {
    Accepted accepted;
    accepted.request = request_;
    for (const uint8_t n : numbers) accepted.items.push_back({id_of(n), state, {}});
    outstanding_.hear(std::move(accepted), now_);
  }
  void refuse_item(uint8_t n, ErrorCode code) {
    Accepted accepted;
    accepted.request = request_;
    accepted.items.push_back({id_of(n), JobState::kUnknown, {code, "refused"}});
    outstanding_.hear(std::move(accepted), now_);
  }
  void result(uint8_t n) {
    ResultMessage message;
    message.items.push_back({id_of(n), 1, {}, false, encode(JobResult{})});
    outstanding_.hear(std::move(message), now_);
  }
  std::vector<std::string> outcomes() {
    std::vector<std::string> texts;
    for (const ClientEvent& event : outstanding_.take_events()) {
      const auto& outcome = std::get<Outcome>(event);
      texts.push_back(std::to_string(outcome.id.bytes[0]) + " " +
                      (outcome.result ? "done" : std::string(to_string(outcome.result.error().code))));
    }
    return texts;
  }

  TimePoint now_{1h};
  Outstanding outstanding_{{"ann", 5s, 60s}};
  uint64_t request_ = 0;
};

TEST_F(OutstandingTest, SendsWhatIsQueuedTogetherAndOnlyOnce) {
  add(1);
  add(2);
  EXPECT_THAT(say(), ElementsAre("submit 1 2"));
  EXPECT_THAT(say(), IsEmpty());
}

TEST_F(OutstandingTest, AMessageIsBoundedInBytes) {
  add(1, 3u << 20);
  add(2, 3u << 20);
  EXPECT_THAT(say(), ElementsAre("submit 1", "submit 2"));
}

TEST_F(OutstandingTest, RepeatsAnUnansweredSubmitWithGrowingPauses) {
  add(1);
  say();
  now_ += 5s - 1ns;
  EXPECT_THAT(say(), IsEmpty());
  now_ += 1ns;
  EXPECT_THAT(say(), ElementsAre("submit 1"));
  now_ += 10s - 1ns;
  EXPECT_THAT(say(), IsEmpty());
  now_ += 1ns;
  EXPECT_THAT(say(), ElementsAre("submit 1"));
}

// The broker refuses the key: nobody will ever answer.
TEST_F(OutstandingTest, EndsEveryJobWhenItIsGivenUp) {
  add(1);
  add(2);
  say();
  accept({1});
  add(3);
  outstanding_.give_up({ErrorCode::kInvalid, "not let in"});
  const auto events = outstanding_.take_events();
  ASSERT_EQ(events.size(), 3u);
  for (const ClientEvent& event : events) {
    const auto& outcome = std::get<Outcome>(event);
    ASSERT_FALSE(outcome.result);
    EXPECT_EQ(outcome.result.error().text, "not let in");
  }
  EXPECT_EQ(outstanding_.size(), 0u);
  EXPECT_THAT(say(), IsEmpty());
}

TEST_F(OutstandingTest, SaysWhenItWantsToSpeakNext) {
  EXPECT_EQ(outstanding_.wake_at(), TimePoint::max());
  add(1);
  EXPECT_LE(outstanding_.wake_at(), now_);
  say();
  EXPECT_EQ(outstanding_.wake_at(), now_ + 5s);
}

// Until the first result shows that the subscription stands, it may be the subscription that is late.
TEST_F(OutstandingTest, FetchesSoonWhileNoResultWasEverHeardAndSeldomAfterwards) {
  add(1);
  say();
  accept({1});
  now_ += 100ms;
  EXPECT_THAT(say(), ElementsAre("fetch 1"));
  outstanding_.hear(Fetched{request_, {{id_of(1), JobState::kLeased, 1, {}, ""}}}, now_);
  now_ += 200ms;
  EXPECT_THAT(say(), ElementsAre("fetch 1")) << "with twice the pause";
  outstanding_.hear(Fetched{request_, {{id_of(1), JobState::kLeased, 1, {}, ""}}}, now_);

  add(2);
  say();
  result(1);
  accept({2});
  now_ += 3s - 1ns;
  EXPECT_THAT(say(), IsEmpty());
  now_ += 1ns;
  EXPECT_THAT(say(), ElementsAre("fetch 2"));
}

TEST_F(OutstandingTest, AsksForAJobThatWasFinishedBeforeItWasSubmitted) {
  add(1);
  say();
  accept({1}, JobState::kDone);
  EXPECT_THAT(say(), ElementsAre("fetch 1"));
  outstanding_.hear(Fetched{request_, {{id_of(1), JobState::kDone, 1, {}, encode(JobResult{})}}}, now_);
  EXPECT_THAT(outcomes(), ElementsAre("1 done"));
  EXPECT_EQ(outstanding_.size(), 0u);
}

TEST_F(OutstandingTest, AResultMayComeBeforeItsAcceptance) {
  add(1);
  say();
  result(1);
  accept({1});
  result(1);
  EXPECT_THAT(outcomes(), ElementsAre("1 done"));
}

TEST_F(OutstandingTest, ALostConnectionSendsAgainAndFetchesSoon) {
  add(1);
  say();
  accept({1});
  result(1);
  outcomes();
  add(2);
  say();
  accept({2});
  add(3);
  say();
  outstanding_.connection_lost(now_);
  EXPECT_THAT(say(), ElementsAre("submit 3"));
  now_ += 100ms;
  EXPECT_THAT(say(), ElementsAre("fetch 2"));
}

TEST_F(OutstandingTest, PausesWhenTheBrokerIsFullAndTriesAgain) {
  add(1);
  say();
  refuse_item(1, ErrorCode::kFull);
  EXPECT_THAT(say(), IsEmpty());
  add(2);
  EXPECT_THAT(say(), IsEmpty()) << "the pause is for all";
  now_ += 100ms;
  EXPECT_THAT(say(), ElementsAre("submit 1 2"));
  EXPECT_THAT(outcomes(), IsEmpty());
}

TEST_F(OutstandingTest, PatienceWithAFullBrokerIsBounded) {
  add(1);
  for (int i = 0; i < 100 && outstanding_.size() > 0; ++i) {
    now_ += 5s;
    if (!say().empty()) refuse_item(1, ErrorCode::kFull);
  }
  EXPECT_THAT(outcomes(), ElementsAre("1 full"));
}

TEST_F(OutstandingTest, OneBadItemDoesNotTakeItsMessageAlong) {
  add(1);
  add(2);
  EXPECT_THAT(say(), ElementsAre("submit 1 2"));
  outstanding_.hear(Refused{request_, {ErrorCode::kTooLong, "the message"}}, now_);
  EXPECT_THAT(outcomes(), IsEmpty());
  auto first = outstanding_.next(now_);
  ASSERT_TRUE(first);
  ASSERT_THAT(std::get<Submit>(*first).items, SizeIs(1));
  const uint64_t first_request = std::get<Submit>(*first).request;
  EXPECT_THAT(say(), ElementsAre("submit 2"));
  accept({2});
  outstanding_.hear(Refused{first_request, {ErrorCode::kTooLong, "the item"}}, now_);
  EXPECT_THAT(outcomes(), ElementsAre("1 too_long"));
  EXPECT_TRUE(outstanding_.accepted(id_of(2)));
}

TEST_F(OutstandingTest, AForgottenJobIsSubmittedAgainButNotForEver) {
  add(1);
  for (int i = 0; i < 10 && outstanding_.size() > 0; ++i) {
    EXPECT_THAT(say(), ElementsAre("submit 1"));
    accept({1}, JobState::kDone);
    EXPECT_THAT(say(), ElementsAre("fetch 1"));
    outstanding_.hear(Fetched{request_, {{id_of(1), JobState::kUnknown, 0, {}, ""}}}, now_);
  }
  EXPECT_THAT(outcomes(), ElementsAre("1 not_found"));
}

TEST_F(OutstandingTest, AResultThatCannotBeReadIsAnErrorAndNotSilence) {
  add(1);
  say();
  ResultMessage message;
  message.items.push_back({id_of(1), 1, {}, false, "not msgpack"});
  outstanding_.hear(std::move(message), now_);
  const auto events = outstanding_.take_events();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_FALSE(std::get<Outcome>(events[0]).result);
}

TEST_F(OutstandingTest, FetchesAreBoundedAndOneAtATime) {
  for (uint8_t n = 1; n <= 200; ++n) add(n);
  say();
  std::vector<uint8_t> all;
  for (uint8_t n = 1; n <= 200; ++n) all.push_back(n);
  accept(all, JobState::kDone);
  auto first = outstanding_.next(now_);
  ASSERT_TRUE(first);
  EXPECT_LE(std::get<Fetch>(*first).ids.size(), 128u);
  EXPECT_FALSE(outstanding_.next(now_)) << "the next one after the answer";
  outstanding_.hear(Fetched{std::get<Fetch>(*first).request, {}}, now_);
  EXPECT_TRUE(outstanding_.next(now_));
}

TEST_F(OutstandingTest, ACancelFollowsTheSubmit) {
  add(1);
  say();
  outstanding_.cancel({id_of(1), id_of(9)});
  EXPECT_THAT(say(), ElementsAre("cancel 1"));
  EXPECT_EQ(outstanding_.size(), 1u) << "the broker has the last word";
}

}  // namespace
}  // namespace tandem::testing
