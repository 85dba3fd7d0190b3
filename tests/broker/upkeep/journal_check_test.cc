// A good journal is found good, and every way in which one can be wrong is named with its place.

#include "broker/upkeep/journal_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "broker/fact_codec.h"
#include "broker/lmdb_journal.h"
#include "broker/upkeep/journal_dump.h"
#include "tests/support/temp_dir.h"

namespace tandem::broker {
namespace {

using tandem::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

AcceptedFact accepted(Sequence sequence, const std::string& name, uint64_t seed) {
  AcceptedFact fact;
  fact.sequence = sequence;
  fact.id = job_id_from_key(name);
  fact.client = "carl";
  fact.wall_ms = 1'700'000'000'000 + static_cast<int64_t>(sequence);
  fact.payload = "text of " + name;
  fact.payload_hash = hash128(fact.payload, seed);
  return fact;
}

FinishedFact finished(Sequence sequence, Sequence of, const std::string& name,
                      JobState state = JobState::kDone) {
  FinishedFact fact;
  fact.sequence = sequence;
  fact.accepted = of;
  fact.id = job_id_from_key(name);
  fact.state = state;
  fact.worker = "ann";
  fact.wall_ms = 1'700'000'000'000 + static_cast<int64_t>(sequence);
  if (state == JobState::kDone) fact.payload = "result of " + name;
  if (state != JobState::kDone) fact.error = {ErrorCode::kAttempts, "given up"};
  return fact;
}

class JournalCheckTest : public ::testing::Test {
 protected:
  // One job done, one dead, one cancelled, two waiting; the first two outcomes have arrived.
  void SetUp() override {
    auto journal = LmdbJournal::open({folder_.path(), 16u << 20});
    ASSERT_TRUE(journal) << journal.error().text;
    seed_ = (*journal)->hash_seed();
    FactBatch batch;
    for (Sequence n = 1; n <= 5; ++n) batch.accepted.push_back(accepted(n, "job" + std::to_string(n), seed_));
    batch.finished = {finished(6, 1, "job1"), finished(7, 2, "job2", JobState::kDead),
                      finished(8, 3, "job3", JobState::kCancelled)};
    ASSERT_TRUE((*journal)->commit(batch));
    ASSERT_TRUE((*journal)->commit({{}, {}, {}, {6, 7}}));
  }

  // Changes the store behind the journal's back.
  template <typename Change>
  void tamper(const std::string& table_name, Change change) {
    auto environment = Environment::open(folder_.path(), {});
    ASSERT_TRUE(environment) << environment.error().text;
    Table table = *environment->table(table_name);
    auto transaction = environment->write();
    change(*transaction, table);
    ASSERT_TRUE(transaction->commit());
  }
  template <typename Fact>
  void put(const Fact& fact) {
    std::string bytes(encoded_bytes(fact), '\0');
    encode(fact, seed_, bytes.data());
    tamper("facts", [&](WriteTransaction& in, Table& table) {
      ASSERT_TRUE(table.put(in, number_key(fact.sequence), bytes));
    });
  }
  void erase(Sequence sequence) {
    tamper("facts",
           [&](WriteTransaction& in, Table& table) { ASSERT_TRUE(*table.erase(in, number_key(sequence))); });
  }
  void flip(Sequence sequence, size_t at) {
    tamper("facts", [&](WriteTransaction& in, Table& table) {
      std::string bytes(**table.get(in, number_key(sequence)));
      bytes.at(at) = static_cast<char>(bytes.at(at) ^ 1);
      ASSERT_TRUE(table.put(in, number_key(sequence), bytes));
    });
  }

  JournalReport check() {
    const auto journal = JournalReader::open(folder_.path());
    EXPECT_TRUE(journal) << journal.error().text;
    const auto report = check_journal(*journal);
    EXPECT_TRUE(report) << report.error().text;
    return *report;
  }

  const TempDir folder_;
  uint64_t seed_ = 0;
};

TEST_F(JournalCheckTest, AGoodJournalIsCounted) {
  const JournalReport report = check();
  EXPECT_THAT(report.damages, IsEmpty());
  EXPECT_EQ(report.n_damages, 0u);
  EXPECT_EQ(report.n_accepted, 5u);
  EXPECT_EQ(report.n_finished, 3u);
  EXPECT_EQ(report.n_acknowledged, 2u);
  const auto n = [&](JobState state) { return report.n_jobs[static_cast<size_t>(state)]; };
  EXPECT_EQ(n(JobState::kReady), 2u);
  EXPECT_EQ(n(JobState::kDone), 1u);
  EXPECT_EQ(n(JobState::kDead), 1u);
  EXPECT_EQ(n(JobState::kCancelled), 1u);
  EXPECT_EQ(report.payload_bytes,
            5 * std::string("text of job1").size() + std::string("result of job1").size());
  EXPECT_EQ(report.oldest_ms, 1'700'000'000'001);
  EXPECT_EQ(report.newest_ms, 1'700'000'000'008);
}

TEST_F(JournalCheckTest, AHeadThatChangedIsFound) {
  flip(2, 20);
  const JournalReport report = check();
  // Nothing can be said of what the damaged fact was, so its outcome hangs in the air, too.
  EXPECT_THAT(report.damages,
              ElementsAre(HasSubstr("fact 2: the head's bytes are not those that were written"),
                          HasSubstr("fact 7: job " + job_id_from_key("job2").to_string() +
                                    " finished, and fact 2, which accepted it, is damaged")));
}

TEST_F(JournalCheckTest, APayloadThatChangedIsFound) {
  flip(4, 88 + 4 + 3);
  EXPECT_THAT(check().damages, ElementsAre(HasSubstr("fact 4: the payload's bytes are not those")));
  flip(6, 88 + 3 + 2);
  EXPECT_THAT(check().damages, SizeIs(2));
}

TEST_F(JournalCheckTest, AnOutcomeWithoutItsJobIsFound) {
  erase(1);
  EXPECT_THAT(check().damages, ElementsAre(HasSubstr("fact 1, which accepted it, is not there")));
}

TEST_F(JournalCheckTest, AnOutcomeOfAnotherJobIsFound) {
  put(finished(9, 4, "job5"));
  EXPECT_THAT(check().damages, ElementsAre(HasSubstr("fact 4, which accepted it, accepts job " +
                                                     job_id_from_key("job4").to_string())));
}

TEST_F(JournalCheckTest, AnOutcomeOfAnOutcomeIsFound) {
  put(finished(9, 6, "job1"));
  EXPECT_THAT(check().damages, ElementsAre(HasSubstr("fact 6, which accepted it, accepts nothing")));
}

TEST_F(JournalCheckTest, AJobThatFinishedBeforeItCameIsFound) {
  put(accepted(12, "job6", seed_));
  put(finished(11, 12, "job6"));
  EXPECT_THAT(check().damages, ElementsAre(HasSubstr("fact 12, which accepted it, comes after it")));
}

TEST_F(JournalCheckTest, AJobAcceptedTwiceIsFound) {
  put(accepted(9, "job4", seed_));
  EXPECT_THAT(check().damages, ElementsAre(HasSubstr("fact 9: job " + job_id_from_key("job4").to_string() +
                                                     " is accepted, as it was by fact 4")));
}

TEST_F(JournalCheckTest, AJobFinishedTwiceIsFound) {
  put(finished(9, 1, "job1"));
  EXPECT_THAT(check().damages,
              ElementsAre(HasSubstr("fact 9: the job of fact 1 is finished, as it was by fact 6")));
}

TEST_F(JournalCheckTest, WhatArrivedMustBeAnOutcome) {
  for (const Sequence wrong : {4u, 99u}) {
    tamper("acknowledged",
           [&](WriteTransaction& in, Table& table) { ASSERT_TRUE(table.put(in, number_key(wrong), {})); });
  }
  EXPECT_THAT(check().damages, ElementsAre(HasSubstr("found 4"), HasSubstr("found 99")));
}

TEST_F(JournalCheckTest, OnlyTheFirstTwentyDamagesAreToldAndAllAreCounted) {
  for (Sequence n = 10; n < 35; ++n) {
    tamper("facts",
           [&](WriteTransaction& in, Table& table) { ASSERT_TRUE(table.put(in, number_key(n), "rubbish")); });
  }
  const JournalReport report = check();
  EXPECT_EQ(report.n_damages, 25u);
  EXPECT_THAT(report.damages, SizeIs(kDamagesTold));
  EXPECT_EQ(report.damages.front(), "fact 10: expected a head of 88 bytes, found 7");
}

TEST_F(JournalCheckTest, AnotherFormatVersionIsRefused) {
  tamper("meta", [&](WriteTransaction& in, Table& table) {
    ASSERT_TRUE(table.put(in, "format_version", std::string("\x63\0\0\0", 4)));
  });
  const auto journal = JournalReader::open(folder_.path());
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(journal.error().text, HasSubstr("found 99"));
}

TEST_F(JournalCheckTest, AnotherKindOfStoreIsNoJournal) {
  const TempDir other;
  { ASSERT_TRUE(Environment::open(other.path(), {})->table("answers")); }
  const auto journal = JournalReader::open(other.path());
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, ErrorCode::kCorrupt);
}

// ---- dump ------------------------------------------------------------------------------------------------

TEST_F(JournalCheckTest, ADumpHasALineForEveryFact) {
  put(accepted(9, "tab\there\\ 好\xff", seed_));
  flip(5, 20);
  const auto journal = JournalReader::open(folder_.path());
  std::vector<std::string> lines;
  const auto keep = [&](const std::string& line) { lines.push_back(line); };
  EXPECT_EQ(dump_journal(*journal, {.json = false, .payloads = false}, keep), 1u);
  ASSERT_THAT(lines, SizeIs(9));
  EXPECT_EQ(lines[0],
            "1 accepted job=" + job_id_from_key("job1").to_string() +
                " client=carl at=2023-11-14T22:13:20.001Z urgency=bulk priority=4 cost=1 attempts_max=0 "
                "route=0 bytes=12");
  EXPECT_THAT(lines[4], HasSubstr("5 damaged error=\"fact 5: the head's bytes"));
  EXPECT_THAT(lines[6], HasSubstr("state=dead"));
  EXPECT_THAT(lines[6], HasSubstr("error=\"given up\" bytes=0 acknowledged=true"));

  lines.clear();
  EXPECT_EQ(dump_journal(*journal, {.json = true, .payloads = true}, keep), 1u);
  ASSERT_THAT(lines, SizeIs(9));
  const auto done = nlohmann::json::parse(lines[5]);
  EXPECT_EQ(done.at("kind"), "finished");
  EXPECT_EQ(done.at("accepted_as"), 1);
  EXPECT_EQ(done.at("payload"), "result of job1");
  EXPECT_EQ(nlohmann::json::parse(lines[8]).at("payload"), "text of tab\\x09here\\\\ 好\\xff");
}

}  // namespace
}  // namespace tandem::broker
