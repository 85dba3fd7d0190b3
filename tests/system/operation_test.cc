// What people who operate a queue look at, with every program running.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>

#include "tests/support/notify_socket.h"
#include "tests/support/prometheus_text.h"
#include "tests/system/deployment.h"

namespace tandem::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Of the "ready" line.
std::string metrics_address(const Process& process) {
  const std::string out = process.out();
  const size_t at = out.find(" metrics=");
  EXPECT_NE(at, std::string::npos) << out;
  return at == std::string::npos ? "127.0.0.1:1" : out.substr(at + 9, out.find('\n', at) - at - 9);
}

PrometheusText figures_of(const Process& process) {
  PrometheusText page;
  // A program that gets no time for a second answers without its figures.
  for (int i = 0; i < 30 && page.error.empty() && page.samples.count("tandem_snapshot_age_seconds") == 0;
       ++i) {
    const std::string answer = http_get(metrics_address(process), "/metrics");
    EXPECT_THAT(answer, StartsWith("200 "));
    page = read_prometheus(answer.empty() ? "" : answer.substr(4));
  }
  EXPECT_EQ(page.error, "");
  return page;
}

TEST(Operation, BrokerAndWorkerTellPrometheusWhatTheyDid) {
  Deployment here;
  const Process broker = here.start_broker({"metrics.listen=127.0.0.1:0"});
  const Process ann =
      here.start_worker("ann", kTinyModel, {"worker.host=host7", "metrics.listen=127.0.0.1:0"});
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += json{{"text", "number " + std::to_string(i)}}.dump() + "\n";
  const RunResult run = here.tandem(
      {"run", here.write("in.jsonl", lines), "-o", here.path("out.jsonl"), "--tasks", "sentiment"});
  ASSERT_EQ(run.status, 0) << run.err;

  const PrometheusText queue = figures_of(broker);
  EXPECT_EQ(queue.at("tandem_jobs_accepted_total"), 20);
  EXPECT_EQ(queue.at("tandem_jobs_finished_total{outcome=\"done\"}"), 20);
  EXPECT_EQ(queue.at("tandem_job_stage_seconds_count{stage=\"total\"}"), 20);
  EXPECT_EQ(queue.at("tandem_worker_finished_jobs_total{worker=\"ann\",host=\"host7\"}"), 20);
  EXPECT_EQ(queue.at("tandem_queue_depth{state=\"leased\"}"), 0);

  const PrometheusText worker = figures_of(ann);
  EXPECT_EQ(worker.at("tandem_session_leases_total"), 20);
  EXPECT_EQ(worker.at("tandem_session_results_total{outcome=\"done\"}"), 20);
  EXPECT_EQ(worker.at("tandem_session_broker_there"), 1);
  EXPECT_GT(worker.at("tandem_session_credit_jobs"), 0);
}

TEST(Operation, AServiceManagerHearsOfAWorkerWhenItIsOfUseAndWhenItStops) {
  Deployment here;
  NotifySocket manager(here.folder() / "notify");
  const Process broker = here.start_broker();
  std::vector<std::string> arguments = here.worker_arguments("ann", kTinyModel);
  arguments.push_back("--work=ipc://" + here.path("run/work"));
  arguments.push_back("--results=ipc://" + here.path("run/results-in"));
  Process ann(arguments,
              {.input = "", .environment = {{"NOTIFY_SOCKET", manager.path()}}, .output_dir = here.folder()});
  EXPECT_THAT(manager.next(), StartsWith("READY=1\nSTATUS=worker=ann "));
  ann.kill(SIGTERM);
  EXPECT_EQ(manager.next(), "STOPPING=1");
  EXPECT_EQ(ann.wait(), 0);
}

// While jobs come and go: a look at a moment, a copy of a moment, and nobody waits.
TEST(Operation, CheckAndBackupWorkBesideABrokerUnderLoad) {
  Deployment here;
  const Process broker = here.start_broker();
  const Process ann = here.start_worker("ann");
  std::string lines;
  for (int i = 0; i < 400; ++i) lines += json{{"text", "number " + std::to_string(i)}}.dump() + "\n";
  Process run = here.start_tandem({"run", here.write("in.jsonl", lines), "-o", here.path("out.jsonl"),
                                   "--tasks", "sentiment", "--outstanding", "16"});
  const std::string journal = "--set=journal.folder=" + here.path("journal");
  int n_copies = 0;
  do {
    const RunResult check = run_process({"tandem-broker", "check", journal});
    EXPECT_EQ(check.status, 0) << check.out << check.err;
    const std::string copy = here.path("copy" + std::to_string(n_copies++));
    const RunResult backup = run_process({"tandem-broker", "backup", copy, journal});
    EXPECT_EQ(backup.status, 0) << backup.out << backup.err;
    EXPECT_EQ(run_process({"tandem-broker", "check", copy}).status, 0);
  } while (run.running());
  EXPECT_EQ(run.wait(), 0) << run.err();
  EXPECT_THAT(run_process({"tandem-broker", "check", journal}).out, HasSubstr("accepted=400 finished=400"));
}

// ---- configs/systemd -------------------------------------------------------------------------------------

std::string unit(const std::string& name) {
  std::ifstream file("../configs/systemd/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

const std::vector<std::string> kUnits = {"tandem-broker.service", "tandem-worker@.service"};

TEST(Operation, SystemdUnderstandsTheUnits) {
  if (run_process({"/bin/sh", "-c", "command -v systemd-analyze"}).status != 0) {
    GTEST_SKIP() << "systemd-analyze is not installed";
  }
  Deployment here;
  for (const std::string& name : kUnits) {
    std::string text = unit(name);
    const std::string installed = "/usr/local/bin";
    for (size_t at = 0; (at = text.find(installed)) != std::string::npos;) {
      text.replace(at, installed.size(), bin_dir().string());
    }
    const RunResult run =
        run_process({"/bin/sh", "-c", "systemd-analyze verify \"$0\"", here.write(name, text)});
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(run.out + run.err, "") << name;
  }
}

// A setting that is renamed is renamed in the units, too.
TEST(Operation, TheProgramsUnderstandWhatTheUnitsSet) {
  for (const std::string& name : kUnits) {
    std::istringstream lines(unit(name));
    std::map<std::string, std::string> environment;
    const std::string key = "Environment=";
    std::string program;
    for (std::string line; std::getline(lines, line);) {
      const size_t equals = line.find('=', key.size());
      if (line.starts_with(key))
        environment[line.substr(key.size(), equals - key.size())] = line.substr(equals + 1);
      if (line.starts_with("ExecStart=/usr/local/bin/")) program = line.substr(25, line.find(' ') - 25);
      EXPECT_TRUE(!line.starts_with("Type=") || line == "Type=notify");
    }
    ASSERT_FALSE(program.empty()) << name;
    const RunResult run =
        run_process({program, "--print-config"}, {.input = "", .environment = environment, .output_dir = ""});
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_THAT(run.out, HasSubstr("/run/tandem/work"));
    for (const auto& [variable, value] : environment) {
      if (!variable.starts_with("TANDEM_") || variable == "TANDEM_RUN_DIR") continue;
      EXPECT_THAT(run.out, HasSubstr(value));
    }
  }
}

}  // namespace
}  // namespace tandem::testing
