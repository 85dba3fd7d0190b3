#include "client/cli/top_frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/width.h"

namespace tandem::cli {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Optional;

class TopTest : public ::testing::Test {
 protected:
  void look(uint64_t accepted, uint64_t finished, uint64_t ready = 0) {
    status_.accepted_total = accepted;
    status_.finished_total = finished;
    status_.ready = ready;
    status_.uptime_ms += 1000;
    history_.add(status_, now_);
  }
  std::vector<std::string> lines(TopStyle style = {{100, 40}, false, true}) {
    std::vector<std::string> all;
    const std::string frame = render_top(history_, now_, "ipc:///run/tandem/submit", style);
    for (size_t begin = 0; begin < frame.size();) {
      const size_t end = frame.find('\n', begin);
      all.push_back(frame.substr(begin, end - begin));
      begin = end + 1;
    }
    return all;
  }
  std::string text(TopStyle style = {{100, 40}, false, true}) {
    return render_top(history_, now_, "ipc:///run/tandem/submit", style);
  }
  void add_workers(size_t n) {
    for (size_t i = 0; i < n; ++i) {
      WorkerStatus worker;
      worker.name = "worker-" + std::to_string(i);
      worker.host = "host";
      worker.credit_max = 8;
      worker.leased = 4;
      status_.workers.push_back(worker);
    }
  }
  void add_clients(size_t n) {
    for (size_t i = 0; i < n; ++i) {
      status_.clients.push_back({"client-" + std::to_string(i), i, 1000 * i, 0});
    }
  }

  TimePoint now_{1h};
  TopHistory history_;
  StatusReply status_;
};

TEST_F(TopTest, RatesAreBetweenTheLastTwoLooks) {
  look(1000, 900);
  EXPECT_FALSE(history_.accepted_per_s()) << "nothing to compare with";
  EXPECT_THAT(text(), HasSubstr("accepted  - "));
  now_ += 2s;
  look(1100, 930);
  EXPECT_THAT(history_.accepted_per_s(), Optional(50.0));
  EXPECT_THAT(history_.finished_per_s(), Optional(15.0));
  now_ += 1s;
  look(1100, 930);
  EXPECT_THAT(history_.accepted_per_s(), Optional(0.0));
}

TEST_F(TopTest, ARestartOfTheBrokerIsNoRate) {
  status_.uptime_ms = 100'000;
  look(1000, 900);
  now_ += 1s;
  status_.uptime_ms = 0;
  look(1001, 0);
  EXPECT_FALSE(history_.accepted_per_s());
  EXPECT_FALSE(history_.finished_per_s());
}

TEST_F(TopTest, TheDepthsAreThoseOfTheLastMinuteWithTheMostOfEachPart) {
  look(0, 0, 100);
  now_ += 31s;
  look(0, 0, 5);
  now_ += 1s;
  look(0, 0, 7);
  now_ += 10s;
  look(0, 0, 2);
  EXPECT_THAT(history_.depths(4), ElementsAre(std::nullopt, Optional(100u), std::nullopt, Optional(7u)));
  for (int i = 0; i < 200; ++i) {
    now_ += 1s;
    look(0, 0, 1);
  }
  EXPECT_THAT(history_.depths(2), ElementsAre(Optional(1u), Optional(1u))) << "what is older is forgotten";
}

TEST_F(TopTest, ASparklineIsScaledToItsLargestValue) {
  EXPECT_EQ(sparkline({0, 1, 7, std::nullopt, 14}), "▁▂▅ █");
  EXPECT_EQ(sparkline({0, 0}), "▁▁");
  EXPECT_EQ(sparkline({}), "");
  EXPECT_EQ(sparkline({UINT64_MAX, 0}), "█▁");
}

TEST_F(TopTest, AFrameTellsOfRatesDepthJournalWorkersAndClients) {
  add_workers(1);
  add_clients(2);
  status_.workers[0].is_draining = true;
  status_.workers[0].cost_max = 1000;
  status_.workers[0].cost_leased = 250;
  status_.delayed = 3;
  status_.leased = 4;
  status_.dead_kept = 2;
  status_.oldest_ready_ms = 1500;
  status_.journal_bytes = 1 << 20;
  status_.journal_bytes_max = 4 << 20;
  look(10, 5, 1);
  EXPECT_THAT(text(),
              AllOf(HasSubstr("tandem top  ipc:///run/tandem/submit"),
                    HasSubstr("1 ready (oldest 2 s), 3 delayed, 4 with workers, 2 dead"),
                    HasSubstr("1.0 MiB of 4.0 MiB"), HasSubstr("most 4"), HasSubstr("[#####-----] 4/8"),
                    HasSubstr(" 25%"), HasSubstr("draining"), HasSubstr("client-1"), HasSubstr("q ends")));
  const std::string all = text();
  EXPECT_LT(all.find("client-1"), all.find("client-0")) << "most jobs first";
}

// A line too many would scroll the screen, and one too long would wrap.
TEST_F(TopTest, AFrameFitsWhateverTheSizeOfTheTerminal) {
  add_workers(30);
  add_clients(30);
  look(1, 1, 1);
  for (const size_t height : {1, 2, 5, 9, 10, 12, 24, 25, 60, 200}) {
    for (const size_t width : {20, 40, 80, 200}) {
      const auto all = lines({{width, height}, false, true});
      EXPECT_LE(all.size(), height) << width << " x " << height;
      if (width < 80) continue;  // a table is never cut below the least that its columns need
      for (const std::string& line : all) EXPECT_LE(display_width(line), width) << line;
    }
  }
  EXPECT_THAT(text({{100, 24}, false, true}),
              AllOf(HasSubstr("worker-0"), HasSubstr("client-29"), HasSubstr("more")));
  EXPECT_THAT(text({{100, 200}, false, true}), Not(HasSubstr("more")));
}

TEST_F(TopTest, WithoutWorkersItSaysWhatToDo) {
  look(0, 0);
  EXPECT_THAT(text(), HasSubstr("No workers. Start one: tandem-worker"));
}

TEST_F(TopTest, ABrokerThatFallsSilentIsSaidAndWhatItSaidLastIsStillShown) {
  EXPECT_THAT(text(), HasSubstr("no answer from the broker yet"));
  look(0, 0, 42);
  now_ += 2s;
  EXPECT_THAT(text(), Not(HasSubstr("no answer")));
  now_ += 10s;
  EXPECT_THAT(text(), AllOf(HasSubstr("no answer from the broker for 12 s"), HasSubstr("42 ready")));
}

TEST_F(TopTest, ColoursOnlyWhereTheyAreWelcome) {
  status_.dead_kept = 1;
  look(0, 0);
  EXPECT_THAT(text(), Not(HasSubstr("\033")));
  EXPECT_THAT(text({{100, 40}, true, true}), HasSubstr("\033[31m"));
}

}  // namespace
}  // namespace tandem::cli
