// Broker, worker and client with keys over tcp, as people set them up: `tandem keygen`, files, settings.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "tests/system/deployment.h"

namespace tandem::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class SecurityTest : public ::testing::Test {
 protected:
  // Makes a key and, for all but the broker, adds its line to the allow file.
  void keygen(const std::string& name, const std::string& role, bool allowed = true) {
    const RunResult made = deployment_.tandem({"keygen", name, "--role", role, "-o", path(name + ".key")});
    ASSERT_EQ(made.status, 0) << made.err;
    if (role != "broker" && allowed) std::ofstream(path("allow"), std::ios::app) << made.out;
  }
  std::string path(const std::string& name) { return deployment_.path(name); }

  // A broker on ports that the system chose, whose endpoints the others are told.
  void start_broker() {
    std::vector<std::string> settings = {"security.secret_key_file=" + path("broker.key"),
                                         "security.allow_file=" + path("allow")};
    for (const std::string name : {"submit", "work", "results_in", "results_out"}) {
      settings.push_back("broker." + name + "=tcp://127.0.0.1:0");
    }
    broker_.emplace(deployment_.start_broker(settings));
  }
  std::string endpoint(const std::string& name) {
    const std::string line = broker_->out();
    const size_t at = line.find(" " + name + "=") + name.size() + 2;
    return line.substr(at, line.find_first_of(" \n", at) - at);
  }
  std::vector<std::string> worker_settings(const std::string& key) {
    return {"worker.work=" + endpoint("work"), "worker.results=" + endpoint("results_in"),
            "security.key_file=" + path(key + ".key"), "security.server_key=" + path("broker.pub")};
  }
  std::string client_config(const std::string& key, const std::string& server_key = "broker.pub") {
    return deployment_.write("client.toml", "[client]\nsubmit = \"" + endpoint("submit") +
                                                "\"\nresults = \"" + endpoint("results_out") +
                                                "\"\n[security]\nkey_file = \"" + key +
                                                ".key\"\nserver_key = \"" + server_key + "\"\n");
  }

  Deployment deployment_;
  std::optional<Process> broker_;
};

TEST_F(SecurityTest, AJobIsDoneOverTcpBetweenThreeKeys) {
  keygen("broker", "broker");
  keygen("host7", "worker");
  keygen("ann", "client");
  start_broker();
  const Process worker = deployment_.start_worker("host7-1", kTinyModel, worker_settings("host7"));
  const std::string in = deployment_.write("in.jsonl", "{\"text\": \"good\"}\n{\"text\": \"bad\"}\n");
  const RunResult run = deployment_.tandem(
      {"run", in, "-o", path("out.jsonl"), "--tasks", "sentiment", "--config", client_config("ann")});
  EXPECT_EQ(run.status, 0) << run.err;
  const auto rows = rows_of(deployment_.read("out.jsonl"));
  ASSERT_EQ(rows.size(), 2u);
  for (const auto& row : rows) EXPECT_TRUE(row["results"].contains("sentiment")) << row;
}

TEST_F(SecurityTest, KeygenWritesASecretFileOnceAndPrintsWhatGoesRound) {
  const RunResult made = deployment_.tandem({"keygen", "ann", "--role", "client", "-o", path("ann.key")});
  ASSERT_EQ(made.status, 0) << made.err;
  struct stat info {};
  ASSERT_EQ(::stat(path("ann.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const std::string file = deployment_.read("ann.key");
  const std::string word = "secret_key ";
  const std::string secret = file.substr(file.find("\n" + word) + 1 + word.size(), 40);
  EXPECT_THAT(made.out, AllOf(HasSubstr("client "), HasSubstr(" ann\n"), Not(HasSubstr(secret))));
  EXPECT_THAT(made.err, Not(HasSubstr(secret)));

  const RunResult again = deployment_.tandem({"keygen", "ann", "--role", "client", "-o", path("ann.key")});
  EXPECT_EQ(again.status, 2);
  EXPECT_THAT(again.err, HasSubstr("left as it is"));
  EXPECT_EQ(deployment_.read("ann.key"), file);
  EXPECT_EQ(deployment_.tandem({"keygen", "a/b", "--role", "client", "-o", path("b.key")}).status, 2);
  EXPECT_EQ(deployment_.tandem({"keygen", "ann", "--role", "king", "-o", path("k.key")}).status, 2);
}

// Each mistake that people make with keys ends in a sentence, not in silence.
TEST_F(SecurityTest, WhoIsNotLetInIsToldWhy) {
  keygen("broker", "broker");
  keygen("other", "broker");
  keygen("ann", "client");
  keygen("eve", "client", false);
  keygen("stranger", "worker", false);
  start_broker();

  const RunResult eve = deployment_.tandem({"jobs", "--config", client_config("eve")});
  EXPECT_EQ(eve.status, 2) << eve.err;
  EXPECT_THAT(eve.err, AllOf(HasSubstr("does not let in the key"), HasSubstr("allow file")));
  const RunResult wrong = deployment_.tandem({"jobs", "--config", client_config("ann", "other.pub")});
  EXPECT_EQ(wrong.status, 3) << wrong.err;
  EXPECT_THAT(wrong.err, HasSubstr("is server_key the public key of that broker"));
  const RunResult without =
      deployment_.tandem({"jobs", "--broker", endpoint("submit") + "," + endpoint("results_out")});
  EXPECT_EQ(without.status, 2) << without.err;
  EXPECT_THAT(without.err, HasSubstr("talks to those with keys only"));
  const RunResult far = deployment_.tandem({"jobs", "--broker", "tcp://192.0.2.1:5555,tcp://192.0.2.1:5558"});
  EXPECT_EQ(far.status, 2) << far.err;
  EXPECT_THAT(far.err, HasSubstr("expected keys"));
  EXPECT_EQ(deployment_.tandem({"jobs", "--config", client_config("ann")}).status, 0);

  const RunResult stranger =
      run_process(deployment_.worker_arguments("stranger", kTinyModel, worker_settings("stranger")),
                  {.input = "", .environment = {}, .output_dir = deployment_.folder()});
  EXPECT_EQ(stranger.status, 2) << stranger.err;
  EXPECT_THAT(stranger.err,
              HasSubstr("tandem-worker: the broker at " + endpoint("work") + " does not let in the key"));
}

// The key has a name, and nobody needs to say it again.
TEST_F(SecurityTest, AJobThatIsLeftIsCollectedUnderTheNameOfTheKeyAndByAnAdmin) {
  keygen("broker", "broker");
  keygen("host7", "worker");
  keygen("ann", "client");
  keygen("bob", "client");
  keygen("root", "admin");
  start_broker();
  const Process worker = deployment_.start_worker("host7-1", kTinyModel, worker_settings("host7"));
  const auto as = [&](const std::string& key, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--config", client_config(key)});
    return deployment_.tandem(std::move(arguments));
  };
  RunResult run = as("ann", {"submit", "--detach", "--task", "sentiment", "good"});
  ASSERT_EQ(run.status, 0) << run.err;
  const std::string id = run.out.substr(0, run.out.find('\n'));
  EXPECT_EQ(as("ann", {"result", id}).status, 0);
  EXPECT_THAT(as("ann", {"results"}).out, HasSubstr(id));

  run = as("bob", {"results"});
  EXPECT_THAT(run.out, HasSubstr("Nothing to collect for bob")) << run.err;
  run = as("bob", {"results", "--client", "ann"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("client: expected 'bob', which is the name of its key, found 'ann'"));

  EXPECT_EQ(as("root", {"result", id}).status, 0);
  run = as("root", {"results", "--client", "ann", "--ack"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr(id));
  EXPECT_THAT(as("root", {"results", "--client", "ann"}).out, HasSubstr("Nothing to collect for ann"));
}

TEST_F(SecurityTest, AWorkerWhoseKeyIsTakenAwayEnds) {
  keygen("broker", "broker");
  keygen("host7", "worker");
  start_broker();
  Process worker = deployment_.start_worker("host7", kTinyModel, worker_settings("host7"));
  deployment_.write("allow.new", "# nobody\n");
  std::filesystem::rename(path("allow.new"), path("allow"));
  EXPECT_EQ(worker.wait(), 2);
  EXPECT_THAT(worker.err(), HasSubstr("does not let in the key"));
}

}  // namespace
}  // namespace tandem::testing
