#include "shared/base/inbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <thread>

namespace tandem {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

bool is_set(const Wake& wake) {
  pollfd fd{wake.fd(), POLLIN, 0};
  return ::poll(&fd, 1, 0) == 1;
}

TEST(Inbox, GivesEverythingInOrderOnce) {
  Inbox<int> inbox;
  EXPECT_THAT(inbox.take(), IsEmpty());
  inbox.push(1);
  inbox.push(2);
  EXPECT_THAT(inbox.take(), ElementsAre(1, 2));
  EXPECT_THAT(inbox.take(), IsEmpty());
}

TEST(Inbox, KeepsTheOrderOfEachWriter) {
  constexpr int kItems = 20000;
  Inbox<std::pair<int, int>> inbox;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 3; ++writer) {
    writers.emplace_back([&inbox, writer] {
      for (int n = 0; n < kItems; ++n) inbox.push({writer, n});
    });
  }
  std::vector<int> next(3, 0);
  for (int n_seen = 0; n_seen < 3 * kItems;) {
    for (const auto& [writer, n] : inbox.wait()) {
      ASSERT_EQ(n, next[static_cast<size_t>(writer)]++);
      ++n_seen;
    }
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_THAT(inbox.take(), IsEmpty());
}

TEST(Inbox, WakesAReaderThatWaitsWhenItCloses) {
  Inbox<int> inbox;
  std::thread reader([&] { EXPECT_THAT(inbox.wait(), IsEmpty()); });
  inbox.close();
  reader.join();
  EXPECT_TRUE(inbox.closed());
}

TEST(Inbox, StillGivesWhatCameBeforeItClosedAndNothingAfter) {
  Inbox<int> inbox;
  inbox.push(1);
  inbox.close();
  inbox.push(2);
  EXPECT_THAT(inbox.wait(), ElementsAre(1));
  EXPECT_THAT(inbox.wait(), IsEmpty());
}

TEST(Inbox, WaitsNoLongerThanTold) {
  Inbox<int> inbox;
  EXPECT_THAT(inbox.wait_for(1ms), IsEmpty());
  inbox.push(1);
  EXPECT_THAT(inbox.wait_for(1h), ElementsAre(1));
}

TEST(Inbox, SetsTheWakeOfItsReader) {
  Wake wake;
  Inbox<int> inbox(&wake);
  EXPECT_FALSE(is_set(wake));
  inbox.push(1);
  EXPECT_TRUE(is_set(wake));
  wake.clear();
  EXPECT_FALSE(is_set(wake));
  inbox.close();
  EXPECT_TRUE(is_set(wake));
}

TEST(Inbox, MovesWhatCannotBeCopied) {
  Inbox<std::unique_ptr<int>> inbox;
  inbox.push(std::make_unique<int>(5));
  EXPECT_EQ(*inbox.take().at(0), 5);
}

// However often it is set, the pipe never fills up so that a writer would have to wait.
TEST(Wake, CanBeSetWithoutEnd) {
  Wake wake;
  for (int i = 0; i < 200000; ++i) wake.set();
  EXPECT_TRUE(is_set(wake));
  wake.clear();
  EXPECT_FALSE(is_set(wake));
}

}  // namespace
}  // namespace tandem
