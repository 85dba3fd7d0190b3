// What "compaction while running" is here: pages of forgotten facts are used by the next commits, so that a
// queue under constant load has a file of constant size, however long it runs.

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "broker/lmdb_journal.h"
#include "shared/store/compact.h"
#include "tests/support/temp_dir.h"

namespace tandem::broker {
namespace {

using tandem::testing::TempDir;

constexpr uint64_t kJobsPerTurn = 50;
constexpr uint64_t kKeptTurns = 10;

class Queue {
 public:
  explicit Queue(const TempDir& folder) : folder_(folder.path()), random_(kSeed) {
    journal_ = std::move(*LmdbJournal::open({folder_, 256u << 20}));
  }

  // One turn: jobs come, those of the turn before are done, those of kKeptTurns before are forgotten.
  void turn() {
    FactBatch batch;
    for (uint64_t i = 0; i < kJobsPerTurn; ++i) {
      AcceptedFact fact;
      fact.sequence = next_++;
      fact.id = job_id_from_key(std::to_string(fact.sequence));
      fact.client = "carl";
      // Small ones that share pages, and some that have pages of their own.
      fact.payload = std::string(random_() % 10 == 0 ? random_() % 20'000 : random_() % 1'000, 'x');
      fact.payload_hash = hash128(fact.payload, journal_->hash_seed());
      batch.accepted.push_back(std::move(fact));
    }
    for (uint64_t i = 0; i < kJobsPerTurn && n_turns_ > 0; ++i) {
      FinishedFact fact;
      fact.sequence = next_++;
      fact.accepted = accepted_from(n_turns_ - 1) + i;
      fact.id = job_id_from_key(std::to_string(fact.accepted));
      fact.payload = std::string(random_() % 500, 'y');
      batch.finished.push_back(std::move(fact));
    }
    if (n_turns_ > kKeptTurns) {
      const uint64_t old = n_turns_ - kKeptTurns;
      for (uint64_t i = 0; i < kJobsPerTurn; ++i) {
        batch.forgotten.push_back(accepted_from(old) + i);
        batch.forgotten.push_back(accepted_from(old + 1) + kJobsPerTurn + i);  // their outcomes
      }
    }
    ASSERT_TRUE(journal_->commit(batch));
    // As when jobs are lent: a read between two commits.
    ASSERT_TRUE(journal_->read(accepted_from(n_turns_)));
    ++n_turns_;
  }
  void turns(uint64_t n) {
    for (uint64_t i = 0; i < n; ++i) turn();
  }
  uintmax_t file_bytes() const { return std::filesystem::file_size(folder_ / "data.mdb"); }
  uint64_t used_bytes() const { return journal_->usage()->bytes_used; }

 private:
  static constexpr uint64_t kSeed = 4;
  // The first turn finishes nothing.
  static Sequence accepted_from(uint64_t turn) {
    return turn == 0 ? 1 : 1 + kJobsPerTurn + (turn - 1) * 2 * kJobsPerTurn;
  }

  std::filesystem::path folder_;
  std::unique_ptr<LmdbJournal> journal_;
  std::mt19937_64 random_;
  Sequence next_ = 1;
  uint64_t n_turns_ = 0;
};

TEST(JournalSizeTest, AQueueUnderConstantLoadHasAFileOfConstantSize) {
  const TempDir folder;
  {
    Queue queue(folder);
    queue.turns(8 * kKeptTurns);
    const uintmax_t early = queue.file_bytes();
    queue.turns(48 * kKeptTurns);
    EXPECT_LE(queue.file_bytes(), early + early / 4) << "after 7 times as many jobs";
    EXPECT_LE(queue.file_bytes(), 3 * queue.used_bytes());
    RecordProperty("early_kib", static_cast<int>(early >> 10));
    RecordProperty("late_kib", static_cast<int>(queue.file_bytes() >> 10));
    RecordProperty("used_kib", static_cast<int>(queue.used_bytes() >> 10));
  }
  // And what is free can be given back to the disk, once nobody has it open.
  const auto sizes = compact_store(folder.path(), [](const auto&) { return Result<void>(); });
  ASSERT_TRUE(sizes) << sizes.error().text;
  EXPECT_LT(sizes->bytes_after, sizes->bytes_before);
}

}  // namespace
}  // namespace tandem::broker
