// The loop of a run, with a client that answers when the test says so.

#include "client/cli/bulk_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "shared/base/file.h"
#include "tests/client/fake_broker.h"
#include "tests/support/temp_dir.h"

namespace tandem::cli {
namespace {

using nlohmann::json;
using tandem::testing::fake_answer;
using tandem::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Answers everything outstanding at every wait(), the newest first, up to `answers_at_once`.
class BackwardsClient final : public Client {
 public:
  Result<JobId> submit(const JobRequest& request, const SubmitOptions&) override {
    const JobId id = make_job_id();
    jobs_.emplace_back(id, request);
    most_outstanding_ = std::max(most_outstanding_, jobs_.size());
    return id;
  }
  bool accepted(const JobId&) const override { return true; }
  size_t n_outstanding() const override { return jobs_.size(); }
  std::vector<ClientEvent> wait(Duration) override {
    ++n_waits_;
    std::vector<ClientEvent> events;
    for (size_t n = 0; n < answers_at_once && !jobs_.empty(); ++n) {
      const auto& [id, request] = jobs_.back();
      Result<JobResult> result = fake_answer(request);
      if (cancelled_.contains(id)) result = fail(ErrorCode::kCancelled, "cancelled");
      events.push_back(Outcome{id, 1, std::move(result)});
      jobs_.pop_back();
    }
    return events;
  }
  Result<void> cancel(const std::vector<JobId>& ids) override {
    n_cancelled_ += ids.size();
    for (const JobId& id : ids) {
      if (too_late == 0) cancelled_.insert(id);
      too_late -= too_late > 0 ? 1 : 0;
    }
    return {};
  }
  void acknowledge(const std::vector<JobId>&) override {}
  Result<Message> ask(Message, Duration) override { return fail(ErrorCode::kTimeout, "nobody there"); }
  std::optional<FullNotice> held_back() const override { return held_back_; }
  const std::string& name() const override { return name_; }
  uint64_t n_fetched() const override { return 0; }
  bool broker_seen() const override { return true; }

  size_t answers_at_once = 1'000'000;
  size_t too_late = 0;  // so many are answered though they are cancelled
  size_t most_outstanding_ = 0;
  size_t n_cancelled_ = 0;
  size_t n_waits_ = 0;
  std::optional<FullNotice> held_back_;
  std::set<JobId> cancelled_;

 private:
  const std::string name_ = "me";
  std::vector<std::pair<JobId, JobRequest>> jobs_;
};

class BulkRunTest : public ::testing::Test {
 protected:
  BulkRunTest() { settings_.defaults.tasks = {"echo"}; }

  Result<void> run(const std::string& input) {
    EXPECT_TRUE(write_file_atomically(folder_ / "in", input));
    auto in = LineReader::open((folder_ / "in").string(), 1 << 20);
    auto out = RowWriter::open((folder_ / "out").string(), true);
    ProgressPrinter progress(ProgressPrinter::Mode::kNone);
    SystemClock clock;
    BulkRun bulk({client_, *in, *out, progress, clock, stop_, alive_}, settings_);
    auto done = bulk.run();
    counts_ = bulk.counts();
    stopped_ = bulk.stopped();
    if (done) done = out->finish();
    return done;
  }
  std::vector<std::string> ids() {
    std::vector<std::string> all;
    std::istringstream lines(read_file(folder_ / "out", 1 << 26).value_or(""));
    for (std::string line; std::getline(lines, line);) {
      const json row = json::parse(line);
      all.push_back((row.contains("id") ? row["id"].get<std::string>() : "line " + row["line"].dump()) +
                    (row.contains("error") ? " error" : ""));
    }
    return all;
  }
  static std::string rows(size_t n) {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += json{{"id", std::to_string(i)}, {"text", "t"}}.dump() + "\n";
    return text;
  }

  TempDir folder_;
  BackwardsClient client_;
  BulkSettings settings_;
  std::function<bool()> stop_ = [] { return false; };
  std::function<Result<void>()> alive_ = [] { return Result<void>(); };
  RunCounts counts_;
  bool stopped_ = false;
};

TEST_F(BulkRunTest, RowsComeOutInTheOrderOfTheInputWhateverFinishesFirst) {
  ASSERT_TRUE(run(rows(4)));
  EXPECT_THAT(ids(), ElementsAre("0", "1", "2", "3"));
}

TEST_F(BulkRunTest, OrAsTheyAreFinished) {
  settings_.ordered = false;
  ASSERT_TRUE(run(rows(4)));
  EXPECT_THAT(ids(), ElementsAre("3", "2", "1", "0"));
}

TEST_F(BulkRunTest, BadLinesAreErrorsInTheirPlace) {
  ASSERT_TRUE(run("{\"id\":\"a\",\"text\":\"x\"}\n{broken\n{\"id\":\"c\"}\n{\"id\":\"d\",\"text\":\"x\"}\n"));
  EXPECT_THAT(ids(), ElementsAre("a", "line 2 error", "c error", "d"));
  EXPECT_EQ(counts_.done, 4u);
  EXPECT_EQ(counts_.failed, 2u);
  EXPECT_EQ(counts_.total, 4u);
}

TEST_F(BulkRunTest, FailedAndCachedRowsAreCounted) {
  ASSERT_TRUE(run(R"({"text": "known one"}
{"text": "fail"}
{"text": "new"})"));
  EXPECT_EQ(counts_.done, 3u);
  EXPECT_EQ(counts_.failed, 1u);
  EXPECT_EQ(counts_.cached, 1u);
  EXPECT_EQ(counts_.tokens, 20u);
}

TEST_F(BulkRunTest, NoMoreJobsAreOutstandingThanAllowed) {
  settings_.outstanding_max = 10;
  ASSERT_TRUE(run(rows(1000)));
  EXPECT_THAT(ids(), SizeIs(1000));
  EXPECT_LE(client_.most_outstanding_, 10u);
}

// One slow row at the front must not make the rest of the file pile up in memory behind it.
TEST_F(BulkRunTest, ReadingStopsWhenTooManyRowsWaitForTheirTurn) {
  settings_.outstanding_max = 10;
  settings_.waiting_max = 20;
  client_.answers_at_once = 1;  // the newest: the first row is answered last
  size_t most_read = 0;
  stop_ = [&] {
    most_read = std::max(most_read, client_.n_waits_);
    return client_.n_waits_ >= 5000;
  };
  ASSERT_TRUE(run(rows(200)));
  EXPECT_FALSE(stopped_);
  const auto in_order = ids();
  ASSERT_THAT(in_order, SizeIs(200));
  for (size_t i = 0; i < 200; ++i) EXPECT_EQ(in_order[i], std::to_string(i));
}

TEST_F(BulkRunTest, WhatHoldsTheRunBackIsKnown) {
  client_.held_back_ = FullNotice{"no room", {}};
  ASSERT_TRUE(run(rows(3)));
  EXPECT_EQ(counts_.held_back, "no room");
}

TEST_F(BulkRunTest, AStopCancelsWhatIsOutstanding) {
  client_.answers_at_once = 1;
  stop_ = [&] { return client_.n_waits_ >= 3; };
  ASSERT_TRUE(run(rows(50)));
  EXPECT_TRUE(stopped_);
  EXPECT_EQ(counts_.done, 3u);
  EXPECT_EQ(client_.n_cancelled_, 47u);
  EXPECT_EQ(client_.n_outstanding(), 0u) << "all were heard of: the broker need not keep their outcomes";
}

// The broker finished some before it heard of the cancelling.
TEST_F(BulkRunTest, WhatWasAnsweredAllTheSameHasItsRow) {
  settings_.ordered = false;
  client_.answers_at_once = 1;
  client_.too_late = 2;
  stop_ = [&] { return client_.n_waits_ >= 3; };
  ASSERT_TRUE(run(rows(50)));
  EXPECT_EQ(counts_.done, 5u);
  EXPECT_EQ(counts_.failed, 0u);
  EXPECT_THAT(ids(), SizeIs(5));
}

TEST_F(BulkRunTest, ADeadWorkerEndsTheRunWithItsReason) {
  alive_ = [] { return Result<void>(fail(ErrorCode::kInternal, "tandem-worker was killed by signal 9")); };
  const auto done = run(rows(5));
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().text, HasSubstr("signal 9"));
}

TEST_F(BulkRunTest, AnEmptyFileIsAnEmptyResult) {
  ASSERT_TRUE(run(""));
  EXPECT_THAT(ids(), IsEmpty());
  EXPECT_EQ(counts_.total, 0u);
}

}  // namespace
}  // namespace tandem::cli
