// Programs are killed while they work; every job still comes to exactly one outcome.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "tests/system/deployment.h"

namespace tandem::testing {
namespace {

using nlohmann::json;

constexpr int kJobs = 400;

std::string many_texts() {
  std::string lines;
  for (int i = 0; i < kJobs; ++i) {
    lines += json{{"id", i},
                  {"text", "number " + std::to_string(i) + " was fine"},
                  {"tasks", {"sentiment", "reply"}}}
                 .dump() +
             "\n";
  }
  return lines;
}

// Leases short enough for a test, long enough for a loaded machine.
const std::vector<std::string> kQuickLeases = {"broker.lease_ms=3000", "broker.heartbeat_ms=300",
                                               "broker.restart_grace_ms=1000", "broker.backoff_ms=50"};

void expect_all_rows_once(const std::string& output) {
  const auto rows = rows_of(output);
  EXPECT_EQ(rows.size(), static_cast<size_t>(kJobs));
  std::multiset<int> ids;
  for (const json& row : rows) {
    ids.insert(row.at("id").get<int>());
    EXPECT_TRUE(row.contains("results")) << row;
  }
  for (int i = 0; i < kJobs; ++i) EXPECT_EQ(ids.count(i), 1u) << "row " << i;
}

bool wait_for_rows(const Deployment& here, const std::string& name, size_t n) {
  for (int i = 0; i < 3000; ++i) {
    const std::string content = here.read(name);
    if (static_cast<size_t>(std::count(content.begin(), content.end(), '\n')) >= n) return true;
    ::usleep(10'000);  // another process makes them: there is nothing else to wait for
  }
  return false;
}

TEST(Faults, JobsOfAKilledWorkerAreDoneByAnother) {
  Deployment here;
  const Process broker = here.start_broker(kQuickLeases);
  Process ann = here.start_worker("ann", kTinyModel, {"engine.sequences_max=4"});
  Process run = here.start_tandem({"run", here.write("in.jsonl", many_texts()), "-o", here.path("out.jsonl"),
                                   "--as-completed", "--outstanding", "64"});
  ASSERT_TRUE(wait_for_rows(here, "out.jsonl.partial", 5)) << run.err();
  ann.kill(SIGKILL);
  const Process bob = here.start_worker("bob");
  ASSERT_EQ(run.wait(std::chrono::seconds(90)), 0) << run.err();
  expect_all_rows_once(here.read("out.jsonl"));
}

TEST(Faults, AKilledBrokerComesBackWithItsJobsAndNobodyNotices) {
  Deployment here;
  Process broker = here.start_broker(kQuickLeases);
  const Process ann = here.start_worker("ann", kTinyModel, {"engine.sequences_max=4"});
  Process run = here.start_tandem({"run", here.write("in.jsonl", many_texts()), "-o", here.path("out.jsonl"),
                                   "--as-completed", "--outstanding", "64"});
  ASSERT_TRUE(wait_for_rows(here, "out.jsonl.partial", 5)) << run.err();
  broker.kill(SIGKILL);
  broker.wait();
  const Process again = here.start_broker(kQuickLeases);
  ASSERT_EQ(run.wait(std::chrono::seconds(90)), 0) << run.err();
  expect_all_rows_once(here.read("out.jsonl"));
}

TEST(Faults, ACommandThatIsKilledTakesItsOwnBrokerAndWorkerAlong) {
  Deployment here;
  // A file that takes a while, so that it is killed in the middle.
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += many_texts();
  Process run(
      {"tandem", "run", here.write("in.jsonl", lines), "-o", here.path("out.jsonl"), "--model", kTinyModel,
       "--as-completed", "--no-cache"},
      {.input = "",
       .environment = {{"HOME", here.path("home")}, {"TANDEM_BROKER", ""}, {"TMPDIR", here.path("run")}},
       .output_dir = here.folder()});
  ASSERT_TRUE(wait_for_rows(here, "out.jsonl.partial", 5)) << run.err();
  const std::string children_file =
      "/proc/" + std::to_string(run.pid()) + "/task/" + std::to_string(run.pid()) + "/children";
  std::vector<pid_t> children;
  {
    FILE* file = ::fopen(children_file.c_str(), "r");
    ASSERT_NE(file, nullptr);
    for (pid_t pid = 0; ::fscanf(file, "%d", &pid) == 1;) children.push_back(pid);
    ::fclose(file);
  }
  ASSERT_EQ(children.size(), 2u);
  run.kill(SIGKILL);
  run.wait();
  for (const pid_t child : children) {
    bool gone = false;
    for (int i = 0; i < 1000 && !gone; ++i) {
      // A zombie that waits for init is gone as well.
      const RunResult state =
          run_process({"/bin/sh", "-c", "cut -d' ' -f3 /proc/" + std::to_string(child) + "/stat"});
      gone = state.out.empty() || state.out[0] == 'Z';
    }
    EXPECT_TRUE(gone) << "process " << child << " still runs";
  }
}

TEST(Faults, AWorkerToldToStopFinishesWhatItHolds) {
  Deployment here;
  const Process broker = here.start_broker(kQuickLeases);
  Process ann = here.start_worker("ann", kTinyModel, {"engine.sequences_max=4"});
  Process run = here.start_tandem({"run", here.write("in.jsonl", many_texts()), "-o", here.path("out.jsonl"),
                                   "--as-completed", "--outstanding", "64"});
  ASSERT_TRUE(wait_for_rows(here, "out.jsonl.partial", 5)) << run.err();
  ann.kill(SIGTERM);
  EXPECT_EQ(ann.wait(), 0) << ann.err();
  const Process bob = here.start_worker("bob");
  ASSERT_EQ(run.wait(std::chrono::seconds(90)), 0) << run.err();
  expect_all_rows_once(here.read("out.jsonl"));
}

}  // namespace
}  // namespace tandem::testing
