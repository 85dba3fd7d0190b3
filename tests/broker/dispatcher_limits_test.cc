// What a client may bring: jobs, bytes, a rate. Each refusal says what was hit and when to come again.

#include "tests/broker/dispatcher_story.h"

namespace tandem::broker {
namespace {

class DispatcherLimitsTest : public DispatcherStory {
 protected:
  AcceptedItem bring(const std::string& name, size_t n_bytes = 10, const std::string& client = "carl") {
    hear(Door::kSubmit, "conn",
         Submit{1, client, {{.id = id(name), .payload = std::string(n_bytes, 'x') + name}}});
    return answer<Accepted>().items.at(0);
  }
};

TEST_F(DispatcherLimitsTest, JobsWithoutAnOutcomeAreLimitedForEachClient) {
  config_.limits.jobs_max = 2;
  restart();
  EXPECT_THAT(submit_all({"one", "two", "three"}, {}),
              ElementsAre("one ready", "two ready", "three refused: full"));
  const AcceptedItem refused = bring("three");
  EXPECT_EQ(refused.error.code, ErrorCode::kFull);
  EXPECT_THAT(refused.error.text, HasSubstr("limits.jobs_max: client 'carl' has 2 jobs without an outcome"));
  EXPECT_THAT(refused.error.text, HasSubstr("retry after 200 ms"));
  EXPECT_EQ(refused.retry_after_ms, 200u);
  EXPECT_EQ(submit("one"), "one ready");  // known already
  EXPECT_EQ(submit("four", {.client = "cora"}), "four ready");
  cancel("one");
  EXPECT_EQ(submit("three"), "three ready");
}

TEST_F(DispatcherLimitsTest, BytesOfUnfinishedJobsAreLimited) {
  config_.limits.bytes_max = 100;
  restart();
  EXPECT_TRUE(bring("one", 60).error.text.empty());
  const AcceptedItem refused = bring("two", 60);
  EXPECT_EQ(refused.error.code, ErrorCode::kFull);
  EXPECT_THAT(refused.error.text, HasSubstr("limits.bytes_max: the jobs of client 'carl' have 63 bytes"));
  EXPECT_EQ(refused.retry_after_ms, 200u);
  EXPECT_TRUE(bring("three", 30).error.text.empty());
  cancel("one");
  EXPECT_TRUE(bring("two", 60).error.text.empty());
}

TEST_F(DispatcherLimitsTest, OutcomesThatAreNotAcknowledgedAreLimitedInWhatTheyTakeOfTheJournal) {
  config_.limits.kept_bytes_max = 1'000;  // two jobs with a request and an answer of a few bytes
  restart();
  do_job("one");
  do_job("two");
  const AcceptedItem refused = bring("three");
  EXPECT_EQ(refused.error.code, ErrorCode::kFull);
  EXPECT_THAT(refused.error.text, HasSubstr("limits.kept_bytes_max: client 'carl' has 2 outcomes that it did "
                                            "not acknowledge, which take 10"));
  EXPECT_EQ(refused.retry_after_ms, 200u);
  EXPECT_EQ(submit("four", {.client = "cora"}), "four ready");
  restart();
  EXPECT_EQ(bring("three").error.text, refused.error.text);
  acknowledge("two");
  EXPECT_TRUE(bring("three").error.text.empty());
  pass(1s);
  restart();
  EXPECT_TRUE(bring("five").error.text.empty());
}

TEST_F(DispatcherLimitsTest, WhatIsForgottenOrPutBackDoesNotCountAsKept) {
  config_.limits.kept_bytes_max = 400;
  restart();
  do_job("one");
  EXPECT_EQ(bring("two").error.code, ErrorCode::kFull);
  forget("one");
  EXPECT_TRUE(bring("two").error.text.empty());
  cancel("two");
  EXPECT_EQ(bring("three").error.code, ErrorCode::kFull);
  forget("two");
  EXPECT_TRUE(bring("three").error.text.empty());
}

// To be told to try again later would be a promise that nobody can keep.
TEST_F(DispatcherLimitsTest, AJobThatBreaksTheLimitAloneIsRefusedForGood) {
  config_.limits.bytes_max = 100;
  restart();
  const AcceptedItem refused = bring("huge", 200);
  EXPECT_EQ(refused.error.code, ErrorCode::kTooLong);
  EXPECT_EQ(refused.retry_after_ms, 0u);
  EXPECT_THAT(status().clients, IsEmpty());  // nobody is remembered for it
}

TEST_F(DispatcherLimitsTest, TheRateIsLimitedAfterABurstAndWhoComesWhenToldIsLetIn) {
  for (const double rate : {0.3, 1.0, 3.0, 7.0, 11.0, 130.0, 999.0}) {
    config_.limits = {.jobs_per_second = rate, .jobs_burst = 2};
    restart();
    const std::string at = std::to_string(rate) + " ";
    EXPECT_TRUE(bring(at + "1").error.text.empty());
    EXPECT_TRUE(bring(at + "2").error.text.empty());
    for (int i = 3; i < 30; ++i) {
      const std::string name = at + std::to_string(i);
      const AcceptedItem refused = bring(name);
      ASSERT_EQ(refused.error.code, ErrorCode::kFull) << name;
      EXPECT_THAT(refused.error.text, HasSubstr("limits.jobs_per_second: client 'carl' brings more than"));
      ASSERT_GT(refused.retry_after_ms, 0u);
      ASSERT_LE(refused.retry_after_ms, 1'000 / rate + 1);
      clock_.advance(milliseconds(refused.retry_after_ms));
      ASSERT_TRUE(bring(name).error.text.empty()) << name;
    }
  }
}

// 16 ms and 184 ms at 5 a second are not quite one job when they are added up as fractions.
TEST_F(DispatcherLimitsTest, WhoAsksInBetweenIsLetInWhenToldAllTheSame) {
  for (int early_ms = 1; early_ms < 200; ++early_ms) {
    config_.limits = {.jobs_per_second = 5, .jobs_burst = 1};
    restart();
    const std::string name = std::to_string(early_ms);
    EXPECT_TRUE(bring(name + " first", 10, "client " + name).error.text.empty());
    clock_.advance(milliseconds(early_ms));
    const AcceptedItem refused = bring(name, 10, "client " + name);
    ASSERT_EQ(refused.error.code, ErrorCode::kFull);
    clock_.advance(milliseconds(refused.retry_after_ms));
    EXPECT_TRUE(bring(name, 10, "client " + name).error.text.empty()) << name;
  }
}

TEST_F(DispatcherLimitsTest, AFullJournalSaysSoAndWhenToComeAgain) {
  room_ = 0;
  const AcceptedItem refused = bring("one");
  EXPECT_EQ(refused.error.code, ErrorCode::kFull);
  EXPECT_THAT(refused.error.text, HasSubstr("journal.watermark"));
  EXPECT_EQ(refused.retry_after_ms, 2'000u);
}

TEST_F(DispatcherLimitsTest, WhatWasAcceptedBeforeARestartStillCounts) {
  config_.limits.jobs_max = 2;
  submit_all({"one", "two"}, {});
  restart();
  EXPECT_EQ(submit("three"), "three refused: full");
}

TEST_F(DispatcherLimitsTest, AJobThatIsPutBackIsNotNew) {
  config_.limits.jobs_max = 1;
  restart();
  ready("ann", 1);
  submit("dead", {.attempts_max = 1});
  fail_job("ann", "dead", 1, "out of memory", true);
  EXPECT_EQ(submit("other"), "other ready");
  EXPECT_EQ(revive("dead"), "dead ready");
  EXPECT_EQ(submit("third"), "third refused: full");
}

// Nothing is lost when results are larger than anybody thought: the job waits, and nobody is asked for more.
TEST_F(DispatcherLimitsTest, AResultThatTheJournalHasNoRoomForIsHadAgainLaterAndTakesNoAttempt) {
  submit("essay", {.attempts_max = 1});
  ready("ann", 5);
  assignments();
  result_room_ = 1'000;
  finish("ann", "essay", 1, std::string(5'000, 'x'));
  EXPECT_EQ(fetch("essay"), "essay ready, attempt 1");
  EXPECT_THAT(published(), IsEmpty());
  may_lend_ = false;
  pass(1min);
  submit("letter");
  EXPECT_THAT(assignments(), IsEmpty());

  may_lend_ = true;
  result_room_ = 10'000;
  pass(1s);
  EXPECT_THAT(assignments(), UnorderedElementsAre("essay -> ann, attempt 2", "letter -> ann, attempt 1"));
  finish("ann", "essay", 2, std::string(5'000, 'x'));
  EXPECT_EQ(fetch("essay"), "essay done, attempt 2: " + std::string(5'000, 'x'));
}

// Not none of them: else equal jobs whose results do not fit together would never end, and run for ever.
TEST_F(DispatcherLimitsTest, AsManyEqualJobsEndAsThereIsRoomForTheirResults) {
  ready("ann", 5);
  submit("one");
  for (const char* name : {"two", "three", "four", "five"}) submit(name, {.of = "one"});
  assignments();
  result_room_ = 2 * 8'192;
  const std::string answer(5'000, 'x');
  finish("ann", "one", 1, answer);
  EXPECT_EQ(published().size(), 2u);
  EXPECT_EQ(fetch("one"), "one done, attempt 1: " + answer);
  EXPECT_EQ(fetch("two"), "two done, attempt 1: " + answer);
  EXPECT_THAT(assignments(), ElementsAre("three -> ann, attempt 1"));
  EXPECT_EQ(fetch("five"), "five ready");
  result_room_ = 1'000'000;
  finish("ann", "three", 1, answer);
  EXPECT_EQ(published().size(), 3u);
  EXPECT_EQ(fetch("five"), "five done, attempt 1: " + answer);
}

// An outcome without a result has its room already.
TEST_F(DispatcherLimitsTest, JobsEndAlsoWhenTheJournalHasNoRoomForResults) {
  submit_all({"one", "two"}, {});
  ready("ann", 1);
  result_room_ = 0;
  fail_job("ann", "one", 1, "no way", false);
  EXPECT_EQ(cancel("two"), "two cancelled");
  EXPECT_THAT(published(),
              ElementsAre("carl/ one failed: no way", "carl/ two cancelled: cancelled by a client"));
}

}  // namespace
}  // namespace tandem::broker
