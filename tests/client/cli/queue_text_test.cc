#include "client/cli/queue_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/width.h"

namespace tandem::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(QueueText, SizesAreOfTheUnitThatPeopleWouldTake) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1024), "1.0 KiB");
  EXPECT_EQ(bytes_text(1024 * 1024 - 1), "1.0 MiB") << "never 1024.0 KiB";
  EXPECT_EQ(bytes_text(1536ull << 20), "1.5 GiB");
  EXPECT_EQ(bytes_text(5000ull << 40), "5000.0 TiB");
}

TEST(QueueText, ABarIsFullAtItsEndAndEmptyOnlyForNothing) {
  EXPECT_EQ(bar(0, 4), "[----]");
  EXPECT_EQ(bar(0.009, 4), "[----]") << "beside it stands 0%";
  EXPECT_EQ(bar(0.01, 4), "[#---]");
  EXPECT_EQ(bar(0.5, 4), "[##--]");
  EXPECT_EQ(bar(0.999, 4), "[###-]");
  EXPECT_EQ(bar(1, 4), "[####]");
  EXPECT_EQ(bar(7, 4), "[####]") << "more leased than credited";
}

TEST(QueueText, AStateSaysHowLongAJobStillWaits) {
  JobStatus job;
  EXPECT_EQ(state_text(job), "ready");
  job.delay_ms = 2500;
  EXPECT_EQ(state_text(job), "delayed 3 s");
  job.state = JobState::kLeased;
  EXPECT_EQ(state_text(job), "leased");
}

TEST(QueueText, AWorkerThatIsWellIsNotTalkedAbout) {
  WorkerStatus worker;
  worker.silent_ms = 1000;
  EXPECT_EQ(worker_state(worker), "");
  worker.is_draining = true;
  EXPECT_EQ(worker_state(worker), "draining");
  worker.silent_ms = 12'000;
  EXPECT_EQ(worker_state(worker), "draining, silent 12 s");
}

TEST(QueueText, TheSummarySpeaksOfTheOldestJobOnlyWhereOneWaits) {
  StatusReply status;
  status.oldest_ready_ms = 3000;
  EXPECT_THAT(summary_text(status), AllOf(HasSubstr("0 ready, 0 delayed"), Not(HasSubstr("oldest"))));
  status.ready = 2;
  status.journal_bytes = 512;
  EXPECT_THAT(summary_text(status), AllOf(HasSubstr("2 ready (oldest 3 s)"), HasSubstr("journal 512 B")));
  status.journal_bytes_max = 2048;
  EXPECT_THAT(summary_text(status), HasSubstr("[#####---------------]  25%  512 B of 2.0 KiB"));
}

// Names come from outside.
TEST(QueueText, NoNameMovesTheCursorOrBreaksTheTable) {
  WorkerStatus worker;
  worker.name = "\033[2Jevil\n" + std::string(200, 'x');
  worker.model = "model";
  const std::string table = workers_table({worker}, 100);
  EXPECT_THAT(table, Not(HasSubstr("\033")));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 3);
  for (size_t begin = 0; begin < table.size();) {
    const size_t end = table.find('\n', begin);
    EXPECT_LE(display_width(table.substr(begin, end - begin)), 100u);
    begin = end + 1;
  }
}

}  // namespace
}  // namespace tandem::cli
