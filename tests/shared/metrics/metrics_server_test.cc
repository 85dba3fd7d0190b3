// Figures over HTTP, and how they get there from a thread that waits for nobody.

#include "shared/metrics/metrics_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <thread>

#include "shared/metrics/snapshot_desk.h"
#include "tests/support/prometheus_text.h"

namespace tandem {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::http_get;
using testing::read_prometheus;
using ::testing::StartsWith;

TEST(MetricsServerTest, AnswersWithThePageOfTheMoment) {
  std::atomic<int> n_asked{0};
  const auto server = MetricsServer::open({"127.0.0.1:0", false}, [&] {
    MetricPage page;
    page.counter("tandem_asked_total", "Times.", ++n_asked);
    return page;
  });
  ASSERT_TRUE(server) << server.error().text;
  EXPECT_THAT((*server)->address(), StartsWith("127.0.0.1:"));
  for (const int times : {1, 2}) {
    const std::string answer = http_get((*server)->address(), "/metrics");
    ASSERT_THAT(answer, StartsWith("200 "));
    const auto read = read_prometheus(answer.substr(4));
    ASSERT_EQ(read.error, "") << answer;
    EXPECT_EQ(read.at("tandem_asked_total"), times);
  }
  EXPECT_THAT(http_get((*server)->address(), "/etc/passwd"), StartsWith("404"));
}

TEST(MetricsServerTest, WithoutAnAddressThereIsNone) {
  const auto server = MetricsServer::open({}, [] { return MetricPage(); });
  ASSERT_TRUE(server);
  EXPECT_EQ(*server, nullptr);
}

TEST(MetricsServerTest, BeyondLoopbackOnlyWhenSaidSo) {
  EXPECT_TRUE(check_metrics({"", false}));
  EXPECT_TRUE(check_metrics({"localhost:9464", false}));
  EXPECT_TRUE(check_metrics({"[::1]:9464", false}));
  EXPECT_TRUE(check_metrics({"0.0.0.0:9464", true}));
  const auto open = check_metrics({"0.0.0.0:9464", false});
  ASSERT_FALSE(open);
  EXPECT_THAT(open.error().text, HasSubstr("metrics.beyond_loopback"));
  for (const char* wrong : {"9464", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "*:9464"}) {
    EXPECT_FALSE(check_metrics({wrong, true})) << wrong;
  }
}

TEST(MetricsServerTest, AnAddressInUseIsAnError) {
  const auto first = MetricsServer::open({"127.0.0.1:0", false}, [] { return MetricPage(); });
  ASSERT_TRUE(first);
  const auto second = MetricsServer::open({(*first)->address(), false}, [] { return MetricPage(); });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kIo);
  EXPECT_THAT(second.error().text, HasSubstr((*first)->address()));
}

// ---- SnapshotDesk ----------------------------------------------------------------------------------------

// An owner that sleeps until somebody asks, as the broker and the session of a worker do.
class Owner {
 public:
  Owner(SnapshotDesk<int>& desk, Wake& wake) : desk_(desk), wake_(wake), thread_([this] { run(); }) {}
  ~Owner() {
    stopped_ = true;
    wake_.set();
    thread_.join();
  }
  int n_given() const { return n_given_; }

 private:
  void run() {
    while (!stopped_) {
      pollfd waiting{wake_.fd(), POLLIN, 0};
      ::poll(&waiting, 1, -1);
      wake_.clear();
      if (desk_.is_asked()) desk_.give(++n_given_);
    }
  }

  SnapshotDesk<int>& desk_;
  Wake& wake_;
  std::atomic<bool> stopped_{false};
  std::atomic<int> n_given_{0};
  std::thread thread_;
};

TEST(SnapshotDeskTest, ASleepingOwnerIsWokenAndAnswers) {
  ManualClock clock;
  Wake wake;
  SnapshotDesk<int> desk(clock, wake);
  const Owner owner(desk, wake);
  const auto snapshot = desk.look(1s, 30s);
  ASSERT_NE(snapshot.figures, nullptr);
  EXPECT_EQ(*snapshot.figures, 1);
  EXPECT_EQ(snapshot.age, 0s);
}

TEST(SnapshotDeskTest, TheOwnerIsAskedOnceASecondAtMost) {
  ManualClock clock;
  Wake wake;
  SnapshotDesk<int> desk(clock, wake);
  const Owner owner(desk, wake);
  EXPECT_EQ(*desk.look(1s, 30s).figures, 1);
  clock.advance(999ms);
  EXPECT_EQ(desk.look(1s, 30s).age, 999ms);
  EXPECT_EQ(owner.n_given(), 1);
  clock.advance(1ms);
  EXPECT_EQ(*desk.look(1s, 30s).figures, 2);
}

// Somebody who looks at a graph shall see that the broker hangs, and since when.
TEST(SnapshotDeskTest, AnOwnerThatDoesNotAnswerLeavesItsLastFiguresWithTheirAge) {
  ManualClock clock;
  Wake wake;
  SnapshotDesk<int> desk(clock, wake);
  EXPECT_EQ(desk.look(1s, 0s).figures, nullptr);
  desk.give(7);
  EXPECT_EQ(*desk.look(1s, 0s).figures, 7);
  clock.advance(1min);
  EXPECT_TRUE(desk.look(1s, 0s).figures != nullptr && desk.is_asked());
  EXPECT_EQ(*desk.look(1s, 0s).figures, 7);
  EXPECT_EQ(desk.look(1s, 0s).age, 1min);
}

TEST(SnapshotDeskTest, ManyMayAskAtOnce) {
  const SystemClock clock;
  Wake wake;
  SnapshotDesk<int> desk(clock, wake);
  const Owner owner(desk, wake);
  std::vector<std::thread> askers;
  for (int i = 0; i < 4; ++i) {
    askers.emplace_back([&] {
      int last = 0;
      for (int times = 0; times < 200; ++times) {
        const auto snapshot = desk.look(0s, 30s);
        EXPECT_NE(snapshot.figures, nullptr);
        EXPECT_GE(*snapshot.figures, last);
        last = *snapshot.figures;
      }
    });
  }
  for (std::thread& asker : askers) asker.join();
}

}  // namespace
}  // namespace tandem
