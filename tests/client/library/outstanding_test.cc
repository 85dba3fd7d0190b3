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
  void add(uint8_t n, size_t payload_bytes = 10, std::chrono::milliseconds ttl = {},
           std::chrono::milliseconds delay = {}) {
    SubmitItem item;
    item.ttl_ms = static_cast<uint64_t>(ttl.count());
    item.delay_ms = static_cast<uint64_t>(delay.count());
    item.id = id_of(n);
    item.payload = std::string(payload_bytes, 'x');
    outstanding_.add(std::move(item), now_);
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
      } else if (const auto* acknowledge = std::get_if<Acknowledge>(&*message)) {
        text = "acknowledge";
        for (const JobId& id : acknowledge->ids) text += " " + std::to_string(id.bytes[0]);
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
  void refuse_item(uint8_t n, ErrorCode code, uint32_t retry_after_ms = 0) {
    Accepted accepted;
    accepted.request = request_;
    accepted.items.push_back({id_of(n), JobState::kUnknown, {code, "refused"}, retry_after_ms});
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

  void set_up(Outstanding::Settings settings) {
    std::destroy_at(&outstanding_);
    std::construct_at(&outstanding_, std::move(settings));
  }
  SubmitItem next_item() {
    const auto message = outstanding_.next(now_);
    EXPECT_TRUE(message && std::holds_alternative<Submit>(*message));
    return message ? std::get<Submit>(*message).items.at(0) : SubmitItem{};
  }

  TimePoint now_{1h};
  Outstanding outstanding_{{"ann", 5s, 60s, OnFull::kWait, false}};
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
  now_ += 99ms;
  EXPECT_THAT(say(), IsEmpty()) << "the pause is for all";
  now_ += 26ms;  // up to a quarter more than 100 ms
  EXPECT_THAT(say(), ElementsAre("submit 1 2"));
  EXPECT_THAT(outcomes(), IsEmpty());
}

// A broker that says when there is room is asked then, not before and, with jitter, not much later.
TEST_F(OutstandingTest, WaitsAsLongAsTheBrokerAsks) {
  EXPECT_FALSE(outstanding_.held_back());
  add(1);
  say();
  refuse_item(1, ErrorCode::kFull, 2000);
  const auto notice = outstanding_.held_back();
  ASSERT_TRUE(notice);
  EXPECT_EQ(notice->text, "refused");
  EXPECT_EQ(notice->retry_at, outstanding_.wake_at());
  now_ += 2s - 1ns;
  EXPECT_THAT(say(), IsEmpty());
  now_ += 501ms;
  EXPECT_THAT(say(), ElementsAre("submit 1"));
  EXPECT_TRUE(outstanding_.held_back()) << "until something is accepted";
  accept({1});
  EXPECT_FALSE(outstanding_.held_back());
}

TEST_F(OutstandingTest, ABrokerThatAsksForAnHourIsAskedAfterAMinute) {
  add(1);
  say();
  refuse_item(1, ErrorCode::kFull, 3'600'000);
  EXPECT_GE(outstanding_.wake_at(), now_ + 60s);
  EXPECT_LE(outstanding_.wake_at(), now_ + 75s);
}

TEST_F(OutstandingTest, TwoClientsThatAreRefusedTogetherDoNotComeBackTogether) {
  std::set<TimePoint> comes_back;
  for (const char* name : {"ann", "bob", "cleo", "dan"}) {
    set_up({name, 5s, 60s});
    add(1);
    say();
    refuse_item(1, ErrorCode::kFull, 10'000);
    comes_back.insert(outstanding_.wake_at());
  }
  EXPECT_THAT(comes_back, SizeIs(4));
}

TEST_F(OutstandingTest, RefusedJobsKeepTheirOrder) {
  for (uint8_t n = 1; n <= 4; ++n) add(n);
  EXPECT_THAT(say(), ElementsAre("submit 1 2 3 4"));
  Accepted accepted;
  accepted.request = request_;
  accepted.items.push_back({id_of(1), JobState::kReady, {}, 0});
  for (uint8_t n = 2; n <= 4; ++n) {
    accepted.items.push_back({id_of(n), JobState::kUnknown, {ErrorCode::kFull, "three too many"}, 50});
  }
  outstanding_.hear(std::move(accepted), now_);
  now_ += 1s;
  EXPECT_THAT(say(), ::testing::Contains("submit 2 3 4"));
}

// Otherwise a client with a thousand jobs would send megabytes at each try, to hear "full".
TEST_F(OutstandingTest, OffersFewerJobsAfterAPauseAndMoreAgainOnceTheyAreTaken) {
  for (uint8_t n = 1; n <= 200; ++n) add(n);
  const auto offered = [&] {
    auto message = outstanding_.next(now_);
    const auto* submit = message ? std::get_if<Submit>(&*message) : nullptr;
    std::vector<uint8_t> numbers;
    if (submit == nullptr) return numbers;
    request_ = submit->request;
    for (const SubmitItem& item : submit->items) numbers.push_back(item.id.bytes[0]);
    return numbers;
  };
  size_t n_before = offered().size();
  EXPECT_EQ(n_before, 200u);
  for (int i = 0; i < 3; ++i) {
    Accepted refused;
    refused.request = request_;
    for (uint8_t n = 1; n <= n_before; ++n) {
      refused.items.push_back({id_of(n), JobState::kUnknown, {ErrorCode::kFull, "full"}, 100});
    }
    outstanding_.hear(std::move(refused), now_);
    now_ += 200ms;
    const size_t n_now = offered().size();
    EXPECT_LT(n_now, n_before);
    n_before = n_now;
  }
  std::vector<uint8_t> first;
  for (uint8_t n = 1; n <= n_before; ++n) first.push_back(n);
  accept(first);
  EXPECT_GT(offered().size(), n_before);
}

TEST_F(OutstandingTest, WhoWantsAReportHearsOfAFullBrokerAtOnce) {
  set_up({"ann", 5s, 60s, OnFull::kReport});
  add(1);
  add(2);
  say();
  refuse_item(1, ErrorCode::kFull, 1500);
  EXPECT_FALSE(outstanding_.held_back());
  auto events = outstanding_.take_events();
  ASSERT_THAT(events, SizeIs(1));
  const auto& outcome = std::get<Outcome>(events[0]);
  EXPECT_EQ(outcome.result.error().code, ErrorCode::kFull);
  EXPECT_EQ(outcome.result.error().text, "refused; try again after 1500 ms");
  EXPECT_EQ(outcome.retry_after, 1500ms);
  EXPECT_THAT(say(), IsEmpty()) << "nothing is acknowledged: the broker has no such job";
  EXPECT_EQ(outstanding_.size(), 1u);
}

// The promise is to the caller: ten seconds after submit(), wherever the job is then.
TEST_F(OutstandingTest, WhatAJobWaitsHereIsTakenOffItsTimes) {
  add(1, 10, 10s, 3s);
  now_ += 1s;
  SubmitItem item = next_item();
  EXPECT_EQ(item.ttl_ms, 9000u);
  EXPECT_EQ(item.delay_ms, 2000u);
  now_ += 5s;  // no answer
  item = next_item();
  EXPECT_EQ(item.ttl_ms, 4000u);
  EXPECT_EQ(item.delay_ms, 0u);
  now_ += 10s;
  item = next_item();
  EXPECT_EQ(item.ttl_ms, 1u) << "the broker may have it, so it is the broker's to say that it is over";
}

TEST_F(OutstandingTest, AJobWithoutAnEndHasNoneHowEverLongItWaits) {
  add(1);
  now_ += 1000h;
  EXPECT_EQ(next_item().ttl_ms, 0u);
}

TEST_F(OutstandingTest, AJobThatTheBrokerNeverHadExpiresHere) {
  add(1, 10, 10s);
  say();
  refuse_item(1, ErrorCode::kFull, 60'000);
  now_ += 10s - 1ns;
  EXPECT_THAT(say(), IsEmpty());
  EXPECT_EQ(outstanding_.wake_at(), now_ + 1ns);
  EXPECT_THAT(outcomes(), IsEmpty());
  now_ += 1ns;
  EXPECT_THAT(say(), IsEmpty());
  EXPECT_THAT(outcomes(), ElementsAre("1 expired"));
  EXPECT_EQ(outstanding_.wake_at(), TimePoint::max()) << "nothing of it is left";
}

TEST_F(OutstandingTest, AcknowledgesWhatTheCallerHasHeard) {
  set_up({"ann", 5s, 60s});
  add(1);
  add(2);
  add(3);
  say();
  accept({1, 2, 3});
  result(1);
  result(2);
  EXPECT_THAT(say(), IsEmpty()) << "the caller does not have it yet";
  EXPECT_THAT(outcomes(), ElementsAre("1 done", "2 done"));
  EXPECT_EQ(outstanding_.wake_at(), TimePoint{});
  EXPECT_THAT(say(), ElementsAre("acknowledge 1 2"));
  EXPECT_THAT(say(), IsEmpty());
  outstanding_.acknowledge({id_of(7)});  // collected from an earlier run
  EXPECT_THAT(say(), ElementsAre("acknowledge 7"));
}

TEST_F(OutstandingTest, EveryEndThatTheBrokerTellsIsAnOutcomeWithItsError) {
  const struct {
    JobState state;
    Error error;
    const char* expected;
  } cases[] = {{JobState::kDead, {ErrorCode::kAttempts, "given up after 5 attempts"}, "1 attempts"},
               {JobState::kExpired, {ErrorCode::kExpired, "too late"}, "1 expired"},
               {JobState::kCancelled, {ErrorCode::kCancelled, "taken back"}, "1 cancelled"},
               {JobState::kFailed, {ErrorCode::kTooLong, "too long"}, "1 too_long"},
               {JobState::kDead, {}, "1 attempts"},
               {JobState::kExpired, {}, "1 expired"},
               {JobState::kCancelled, {}, "1 cancelled"}};
  for (const auto& one : cases) {
    add(1);
    say();
    accept({1}, one.state);
    EXPECT_THAT(say(), ElementsAre("fetch 1")) << "it ended before it was submitted this time";
    outstanding_.hear(Fetched{request_, {{id_of(1), one.state, 5, one.error, {}}}}, now_);
    EXPECT_THAT(outcomes(), ElementsAre(one.expected));
  }
}

TEST_F(OutstandingTest, EndingAllEndsQueuedSentAndAcceptedJobs) {
  add(1, 10, 10s);
  say();
  accept({1});
  add(2);
  say();
  add(3);
  outstanding_.end_all({ErrorCode::kUnsupported, "another version"});
  auto all = outcomes();
  std::sort(all.begin(), all.end());
  EXPECT_THAT(all, ElementsAre("1 unsupported", "2 unsupported", "3 unsupported"));
  EXPECT_THAT(say(), IsEmpty());
  EXPECT_EQ(outstanding_.wake_at(), TimePoint::max());
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

// The Submit was lost, the Cancel was not: the job must not be sent again to run after all.
TEST_F(OutstandingTest, ACancelThatFindsNothingEndsTheJob) {
  add(1);
  add(2);
  say();
  outstanding_.cancel({id_of(1)});
  const auto cancel = outstanding_.next(now_);
  ASSERT_TRUE(cancel);
  Accepted answer;
  answer.request = std::get<Cancel>(*cancel).request;
  for (uint8_t n = 1; n <= 2; ++n) {
    answer.items.push_back({id_of(n), JobState::kUnknown, {ErrorCode::kNotFound, "no such job"}, 0});
  }
  outstanding_.hear(std::move(answer), now_);
  EXPECT_THAT(outcomes(), ElementsAre("1 cancelled"));
  now_ += 5s;
  EXPECT_THAT(say(), ElementsAre("submit 2"));
}

// Thousands that are cancelled at once are published at once, and a full queue drops some.
TEST_F(OutstandingTest, AnOutcomeOfACancelThatWasMissedIsFetchedSoon) {
  add(1);
  say();
  accept({1});
  now_ += 1h;  // fetched often, with pauses that have grown
  say();
  outstanding_.hear(Fetched{request_, {{id_of(1), JobState::kReady, 0, {}, {}}}}, now_);
  outstanding_.cancel({id_of(1)});
  EXPECT_THAT(say(), ElementsAre("cancel 1"));
  accept({1}, JobState::kCancelled);
  EXPECT_THAT(say(), IsEmpty());
  now_ += 1s;
  EXPECT_THAT(say(), ElementsAre("fetch 1"));
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
