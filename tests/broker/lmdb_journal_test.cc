// The journal in real folders: what it keeps when its process, its disk or its bytes fail.

#include "broker/lmdb_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace tandem::broker {
namespace {

using tandem::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

AcceptedFact accepted(Sequence sequence, std::string payload = "payload") {
  AcceptedFact fact;
  fact.sequence = sequence;
  fact.id = job_id_from_key(std::to_string(sequence));
  fact.client = "carl";
  fact.payload = std::move(payload);
  return fact;
}

FinishedFact finished(Sequence sequence, Sequence of, std::string payload = "result") {
  FinishedFact fact;
  fact.sequence = sequence;
  fact.accepted = of;
  fact.id = job_id_from_key(std::to_string(of));
  fact.attempt = 1;
  fact.worker = "ann";
  fact.payload = std::move(payload);
  return fact;
}

Result<void> commit(Journal& journal, FactBatch batch) {
  for (AcceptedFact& fact : batch.accepted) fact.payload_hash = hash128(fact.payload, journal.hash_seed());
  return journal.commit(batch);
}

std::unique_ptr<LmdbJournal> open(const TempDir& folder, uint64_t bytes_max = 64u << 20) {
  auto journal = LmdbJournal::open({folder.path(), bytes_max});
  EXPECT_TRUE(journal) << journal.error().text;
  return journal ? std::move(*journal) : nullptr;
}

// "1 accepted", "2 finished"
std::vector<std::string> replayed(Journal& journal) {
  std::vector<std::string> lines;
  const auto outcome = journal.replay(
      {[&](AcceptedFact fact, size_t) -> Result<void> {
         lines.push_back(std::to_string(fact.sequence) + " accepted");
         return {};
       },
       [&](FinishedFact fact, size_t) -> Result<void> {
         lines.push_back(std::to_string(fact.sequence) + " finished");
         return {};
       },
       [&](Sequence sequence) { lines.push_back(std::to_string(sequence) + " acknowledged"); }});
  EXPECT_TRUE(outcome) << outcome.error().text;
  return lines;
}

std::string replay_error(Journal& journal) {
  const auto outcome = journal.replay({[](AcceptedFact, size_t) { return Result<void>(); },
                                       [](FinishedFact, size_t) { return Result<void>(); }, [](Sequence) {}});
  return outcome ? "" : outcome.error().text;
}

// The status that `body` returns, or 128 and its signal.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(LmdbJournalTest, FactsComeBackInOrderAfterItWasClosed) {
  const TempDir folder;
  {
    auto journal = open(folder);
    EXPECT_THAT(replayed(*journal), IsEmpty());
    ASSERT_TRUE(commit(*journal, {{accepted(1), accepted(2)}, {}, {}, {}}));
    ASSERT_TRUE(commit(*journal, {{accepted(4)}, {finished(3, 1), finished(5, 2)}, {}, {}}));
    ASSERT_TRUE(commit(*journal, {}));
  }
  auto journal = open(folder);
  EXPECT_THAT(replayed(*journal),
              ElementsAre("1 accepted", "2 accepted", "3 finished", "4 accepted", "5 finished"));
  EXPECT_EQ(journal->read(4)->payload, "payload");
  EXPECT_EQ(journal->read(5)->payload, "result");
  EXPECT_EQ(journal->read(6).error().code, ErrorCode::kNotFound);
}

TEST(LmdbJournalTest, AReadSeesWhatWasCommittedBeforeIt) {
  const TempDir folder;
  auto journal = open(folder);
  for (Sequence sequence = 1; sequence <= 5; ++sequence) {
    EXPECT_FALSE(journal->read(sequence));
    ASSERT_TRUE(commit(*journal, {{accepted(sequence, "payload " + std::to_string(sequence))}, {}, {}, {}}));
    EXPECT_EQ(journal->read(sequence)->payload, "payload " + std::to_string(sequence));
  }
}

TEST(LmdbJournalTest, AFailedJobKeepsItsError) {
  const TempDir folder;
  auto journal = open(folder);
  FinishedFact failed = finished(2, 1, "");
  failed.state = JobState::kFailed;
  failed.error = {ErrorCode::kAttempts, "given up"};
  ASSERT_TRUE(commit(*journal, {{accepted(1)}, {failed}, {}, {}}));
  EXPECT_EQ(journal->read(2)->error, failed.error);
}

TEST(LmdbJournalTest, ForgottenFactsAreGoneAndTheirSpaceIsUsedAgain) {
  const TempDir folder;
  auto journal = open(folder, 2u << 20);
  const std::string big(100'000, 'x');
  // Far more than fits, but never more than three jobs at a time.
  for (Sequence sequence = 1; sequence < 200; sequence += 2) {
    FactBatch batch{{accepted(sequence, big)}, {finished(sequence + 1, sequence)}, {}, {}};
    if (sequence > 6) batch.forgotten = {sequence - 6, sequence - 5};
    ASSERT_TRUE(commit(*journal, batch)) << sequence;
  }
  EXPECT_EQ(replayed(*journal).size(), 6u);
  EXPECT_LT(journal->usage()->bytes_used, 1u << 20);
}

TEST(LmdbJournalTest, WhatArrivedIsRememberedAsLongAsItsFacts) {
  const TempDir folder;
  {
    auto journal = open(folder);
    ASSERT_TRUE(commit(*journal, {{accepted(1), accepted(2)}, {finished(3, 1), finished(4, 2)}, {}, {}}));
    ASSERT_TRUE(commit(*journal, {{}, {}, {}, {3, 4}}));
    ASSERT_TRUE(commit(*journal, {{}, {}, {1, 3}, {}}));
  }
  auto journal = open(folder);
  EXPECT_THAT(replayed(*journal), ElementsAre("2 accepted", "4 finished", "4 acknowledged"));
}

// The seed is what makes equal payloads findable after a restart, and by nobody else.
TEST(LmdbJournalTest, EveryJournalHasASeedOfItsOwnAndKeepsIt) {
  const TempDir folder, other_folder;
  const uint64_t seed = open(folder)->hash_seed();
  EXPECT_EQ(open(folder)->hash_seed(), seed);
  EXPECT_NE(open(other_folder)->hash_seed(), seed);
}

TEST(LmdbJournalTest, ASecondBrokerIsRefused) {
  const TempDir folder;
  auto journal = open(folder);
  const auto here = LmdbJournal::open({folder.path(), 64u << 20});
  ASSERT_FALSE(here);
  EXPECT_EQ(here.error().code, ErrorCode::kExists);
  EXPECT_THAT(here.error().text, HasSubstr(folder.path().string()));

  const int status = in_child([&] {
    const auto second = LmdbJournal::open({folder.path(), 64u << 20});
    return second ? 0 : static_cast<int>(second.error().code);
  });
  EXPECT_EQ(status, static_cast<int>(ErrorCode::kExists));
}

TEST(LmdbJournalTest, AFullJournalRefusesTheBatchWholeAndGoesOnWithALargerLimit) {
  const TempDir folder;
  std::vector<std::string> before;
  Sequence sequence = 1;
  {
    auto journal = open(folder, 1u << 20);
    const std::string big(100'000, 'x');
    for (;; sequence += 2) {
      const auto committed =
          commit(*journal, {{accepted(sequence, "small"), accepted(sequence + 1, big)}, {}, {}, {}});
      if (!committed) {
        EXPECT_EQ(committed.error().code, ErrorCode::kFull);
        break;
      }
      ASSERT_LT(sequence, 400u) << "the limit is not kept";
    }
    before = replayed(*journal);
    EXPECT_EQ(before.size(), sequence - 1) << "half a batch was written";
    EXPECT_GT(journal->usage()->bytes_used, journal->usage()->bytes_max / 2);
  }
  auto journal = open(folder, 64u << 20);
  EXPECT_EQ(replayed(*journal), before);
  EXPECT_TRUE(commit(*journal, {{accepted(sequence, std::string(100'000, 'x'))}, {}, {}, {}}));
}

TEST(LmdbJournalTest, AnotherFormatVersionIsRefused) {
  const TempDir folder;
  open(folder);
  {
    auto store = Environment::open(folder.path(), {});
    auto meta = store->table("meta");
    auto transaction = store->write();
    ASSERT_TRUE(meta->put(*transaction, "format_version", std::string("\x03\0\0\0", 4)));
    ASSERT_TRUE(transaction->commit());
  }
  const auto journal = LmdbJournal::open({folder.path(), 64u << 20});
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(journal.error().text, HasSubstr("expected a journal of format version 2, found 3"));
}

TEST(LmdbJournalTest, AStoreThatIsNoJournalIsRefused) {
  const TempDir folder;
  {
    auto store = Environment::open(folder.path(), {});
    auto facts = store->table("facts");
    auto transaction = store->write();
    ASSERT_TRUE(facts->put(*transaction, "some", "thing"));
    ASSERT_TRUE(transaction->commit());
  }
  const auto journal = LmdbJournal::open({folder.path(), 64u << 20});
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code, ErrorCode::kCorrupt);
}

TEST(LmdbJournalTest, ADamagedHeadEndsTheReplayAndADamagedPayloadItsOwnJob) {
  const TempDir folder;
  {
    auto journal = open(folder);
    ASSERT_TRUE(commit(*journal, {{accepted(1), accepted(2)}, {}, {}, {}}));
  }
  const auto damage = [&](Sequence sequence, size_t at_from_end) {
    auto store = Environment::open(folder.path(), {});
    auto facts = store->table("facts");
    auto transaction = store->write();
    std::string value(**facts->get(*transaction, number_key(sequence)));
    value[value.size() - at_from_end] ^= 1;
    ASSERT_TRUE(facts->put(*transaction, number_key(sequence), value));
    ASSERT_TRUE(transaction->commit());
  };
  damage(2, 1);
  {
    auto journal = open(folder);
    EXPECT_EQ(replay_error(*journal), "");
    EXPECT_EQ(journal->read(1)->payload, "payload");
    EXPECT_EQ(journal->read(2).error().code, ErrorCode::kCorrupt);
  }
  damage(2, 10);  // in the client's name
  auto journal = open(folder);
  EXPECT_THAT(replay_error(*journal), HasSubstr("fact 2: the head's bytes are not those that were written"));
}

// Commits batches of three and tells each one's last sequence through the pipe once it is on disk.
int commit_for_ever(const TempDir& folder, int told) {
  auto journal = LmdbJournal::open({folder.path(), 64u << 20});
  if (!journal) return 1;
  for (Sequence sequence = 1;; sequence += 3) {
    FactBatch batch{{accepted(sequence, std::string(sequence * 37 % 9'000, 'x')), accepted(sequence + 1)},
                    {finished(sequence + 2, sequence)},
                    {},
                    {}};
    if (!commit(**journal, batch)) return 2;
    const Sequence last = sequence + 2;
    if (::write(told, &last, sizeof last) != sizeof last) return 3;
  }
}

// The promise of the whole queue: what was told is there, and nothing is there by halves.
TEST(LmdbJournalTest, WhatWasToldSurvivesKillNine) {
  const uint64_t seed = std::random_device{}();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 10; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " round " + std::to_string(round));
    const TempDir folder;
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(commit_for_ever(folder, pipe[1]));
    ::close(pipe[1]);
    // Not at once, and then in the middle of whatever it does.
    Sequence told = 0;
    for (uint64_t n = 1 + random() % 20; n > 0; --n) {
      ASSERT_EQ(::read(pipe[0], &told, sizeof told), static_cast<ssize_t>(sizeof told));
    }
    ::usleep(static_cast<useconds_t>(random() % 2'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(pipe[0], &told, sizeof told) == static_cast<ssize_t>(sizeof told)) {
    }
    ::close(pipe[0]);

    auto journal = open(folder);
    const auto facts = replayed(*journal);
    EXPECT_GE(facts.size(), told);
    EXPECT_EQ(facts.size() % 3, 0u);
    for (Sequence sequence = 1; sequence <= facts.size(); ++sequence) EXPECT_TRUE(journal->read(sequence));
  }
}

TEST(LmdbJournalTest, AFullDiskFailsTheCommitAndLosesNothing) {
  const TempDir folder;
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);  // the write fails instead
    const rlimit limit{256u << 10, 256u << 10};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    return commit_for_ever(folder, pipe[1]);
  });
  ::close(pipe[1]);
  EXPECT_EQ(status, 2);
  Sequence told = 0;
  while (::read(pipe[0], &told, sizeof told) == static_cast<ssize_t>(sizeof told)) {
  }
  ::close(pipe[0]);
  EXPECT_GT(told, 0u);
  auto journal = open(folder);
  EXPECT_EQ(replayed(*journal).size(), told);
  EXPECT_TRUE(commit(*journal, {{accepted(told + 1)}, {}, {}, {}}));
}

}  // namespace
}  // namespace tandem::broker
