// The judge of the campaign is judged: a broker that breaks its word is found out.

#include "tests/system/campaign/verify.h"

#include <gtest/gtest.h>

#include "shared/base/assert.h"

namespace tandem::testing {
namespace {

using namespace std::chrono_literals;

// Answers questions from a table.
class FakeClient final : public Client {
 public:
  std::map<JobId, FetchedItem> jobs;
  uint64_t n_ready = 0;

  Result<Message> ask(Message question, Duration) override {
    if (const auto* fetch = std::get_if<Fetch>(&question)) {
      Fetched answer;
      for (const JobId& id : fetch->ids) answer.items.push_back(jobs.contains(id) ? jobs[id] : unknown(id));
      return Message(answer);
    }
    StatusReply status;
    status.ready = n_ready;
    return Message(status);
  }

  Result<JobId> submit(const JobRequest&, const SubmitOptions&) override {
    return fail(ErrorCode::kInternal, "");
  }
  bool accepted(const JobId&) const override { return false; }
  size_t n_outstanding() const override { return 0; }
  std::vector<ClientEvent> wait(Duration) override { return {}; }
  Result<void> cancel(const std::vector<JobId>&) override { return {}; }
  void acknowledge(const std::vector<JobId>&) override {}
  uint64_t n_fetched() const override { return 0; }
  bool broker_seen() const override { return true; }
  std::optional<FullNotice> held_back() const override { return {}; }
  const std::string& name() const override { return name_; }

 private:
  static FetchedItem unknown(const JobId& id) {
    FetchedItem item;
    item.id = id;
    return item;
  }
  std::string name_ = "fake";
};

Result<JobResult> answer(const std::string& text) {
  TaskResult task;
  task.task = "echo";
  task.text = TextAnswer{text, "stop"};
  return JobResult{{task}};
}

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() : id_(make_job_id()) {
    FetchedItem& item = client_.jobs[id_];
    item.id = id_;
    item.state = JobState::kDone;
    item.payload = encode(*answer("one"));
    records_[id_] = {.accepted = true, .heard_twice = false, .outcomes = {outcome_word(answer("one"))}};
    witnessed_[id_] = {outcome_word(answer("one"))};
  }
  Findings verify_all() { return verify(client_, records_, witnessed_, 1ms); }

  JobId id_;
  FakeClient client_;
  JobRecords records_;
  std::map<JobId, std::set<std::string>> witnessed_;
};

TEST_F(VerifyTest, OneOutcomeThatEverybodyHeardIsGood) {
  const Findings found = verify_all();
  EXPECT_TRUE(found.good());
  EXPECT_EQ(found.n_accepted, 1u);
  EXPECT_EQ(found.n_done, 1u);
  EXPECT_EQ(found.n_witnessed, 1u);
}

TEST_F(VerifyTest, AJobThatNobodyPromisedMayBeUnknown) {
  records_[make_job_id()] = {};
  EXPECT_TRUE(verify_all().good());
}

TEST_F(VerifyTest, AnAcceptedJobThatTheBrokerDoesNotKnowIsLost) {
  client_.jobs.clear();
  EXPECT_EQ(verify_all().n_lost, 1u);
}

TEST_F(VerifyTest, AnOutcomeThatTheBrokerDoesNotKnowIsLost) {
  client_.jobs.clear();
  records_[id_].accepted = false;
  EXPECT_EQ(verify_all().n_lost, 1u);
}

TEST_F(VerifyTest, AJobWithoutAnOutcomeIsStuck) {
  client_.jobs[id_].state = JobState::kLeased;
  EXPECT_EQ(verify_all().n_stuck, 1u);
}

TEST_F(VerifyTest, WhatWasHeardMustBeWhatCanBeFetched) {
  records_[id_].outcomes = {outcome_word(answer("two"))};
  EXPECT_EQ(verify_all().n_doubled, 1u);
}

TEST_F(VerifyTest, WhatWasPublishedMustBeWhatCanBeFetched) {
  witnessed_[id_] = {outcome_word(fail(ErrorCode::kAttempts, "given up"))};
  EXPECT_EQ(verify_all().n_doubled, 1u);
}

TEST_F(VerifyTest, AnOutcomeThatCameTwiceIsOneTooMany) {
  records_[id_].heard_twice = true;
  EXPECT_EQ(verify_all().n_doubled, 1u);
}

}  // namespace
}  // namespace tandem::testing
