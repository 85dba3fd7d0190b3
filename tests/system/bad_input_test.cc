// Bad input, and what it gets: an error that says what was expected and what was found, with the place, and
// nothing else disturbed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "tests/support/small_disk.h"
#include "tests/system/deployment.h"

namespace tandem::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

RunResult run_tiny(Deployment& here, const std::string& lines, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"run",        "-",       "--model",  kTinyModel,
                                        "--no-cache", "--tasks", "sentiment"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return here.tandem_alone(arguments, lines);
}

// ---- rows of a file ---------------------------------------------------------------------------------------

TEST(BadInput, BadRowsBecomeErrorRowsInTheirPlaceAndTheRunGoesOn) {
  Deployment here;
  const std::string lines = R"({"id": 1, "text": "good"})"
                            "\n"
                            R"({"id": 2, "text": "broken)"
                            "\n"
                            "{\"id\": 3, \"text\": \"not \xC3\x28 UTF-8\"}\n"
                            R"({"id": 4, "text": ""})"
                            "\n"
                            R"({"id": 5, "text": "x", "task": "sentimental"})"
                            "\n"
                            R"({"id": 6, "text": "x", "max_tokens": -3})"
                            "\n"
                            R"({"id": 7, "text": "x", "temperature": "hot"})"
                            "\n"
                            R"({"id": 8})"
                            "\n"
                            R"({"id": 9, "text": ")" +
                            std::string(10u << 20, 'x') +
                            "\"}\n"
                            R"({"id": 10, "text": "good"})"
                            "\n";
  const RunResult run = run_tiny(here, lines);
  EXPECT_EQ(run.status, 1) << "some rows failed: " << run.err;
  const auto rows = rows_of(run.out);
  ASSERT_EQ(rows.size(), 10u);

  const auto error = [&](size_t line) {
    const json& row = rows.at(line - 1);
    return row.contains("error") ? row.at("error").at("code").get<std::string>() + ": " +
                                       row.at("error").at("message").get<std::string>()
                                 : "no error in " + row.dump();
  };
  EXPECT_TRUE(rows[0].contains("results"));
  EXPECT_THAT(error(2), AllOf(HasSubstr("invalid"), HasSubstr("JSON")));
  EXPECT_THAT(error(3), AllOf(HasSubstr("UTF-8"), HasSubstr("c3")));
  EXPECT_THAT(error(4), HasSubstr("empty"));
  EXPECT_THAT(error(5), AllOf(HasSubstr("sentimental"), HasSubstr("sentiment")));
  EXPECT_THAT(error(6), AllOf(HasSubstr("max_tokens"), HasSubstr("-3")));
  EXPECT_THAT(error(7), HasSubstr("temperature"));
  EXPECT_THAT(error(8), HasSubstr("text"));
  EXPECT_THAT(error(9), HasSubstr("too_long"));
  EXPECT_TRUE(rows[9].contains("results"));
  for (const size_t line : {2, 3, 4, 5, 6, 7, 8, 9}) {
    EXPECT_EQ(rows[line - 1].at("error").at("line"), line) << "the place is named";
  }
}

// ---- command lines and settings
// ------------------------------------------------------------------------------

TEST(BadInput, UnknownOptionsAndNegativeLimitsAreUsageErrors) {
  Deployment here;
  RunResult run = here.tandem({"run", "in.jsonl", "--fast"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("--fast"));

  run = run_process(here.broker_arguments({"broker.lease_ms=-5", "broker.attempt_max=3"}));
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, AllOf(HasSubstr("broker.lease_ms"), HasSubstr("-5"))) << "all mistakes at once";
  EXPECT_THAT(run.err, AllOf(HasSubstr("broker.attempt_max"), HasSubstr("broker.attempts_max")));

  run = run_process(here.worker_arguments("ann", kTinyModel, {"engine.kv_bytes=-1"}));
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("engine.kv_bytes"));
}

TEST(BadInput, AConfigFileIsCheckedWithLineNumbers) {
  Deployment here;
  const std::string file =
      here.write("broker.toml", "[broker]\nlease_ms = \"soon\"\n\n[jurnal]\nfolder = \"x\"\n");
  const RunResult run = run_process({"tandem-broker", "--config", file});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, AllOf(HasSubstr("broker.toml:2"), HasSubstr("broker.toml:4"), HasSubstr("jurnal")));
}

// ---- models
// ---------------------------------------------------------------------------------------------------

class BadModel : public ::testing::Test {
 protected:
  BadModel() : model_(here_.path("model")) { fs::copy(kTinyModel, model_, fs::copy_options::recursive); }

  void expect_refused(const ::testing::Matcher<const std::string&>& error) {
    const RunResult worker = run_process(here_.worker_arguments("ann", model_));
    EXPECT_NE(worker.status, 0);
    EXPECT_THAT(worker.err, error);
    // The same through the command line, which has the last word with the user.
    const RunResult run = here_.tandem_alone({"run", "-", "--model", model_}, "{\"text\": \"x\"}\n");
    EXPECT_NE(run.status, 0);
    EXPECT_THAT(run.err, error);
  }

  Deployment here_;
  std::string model_;
};

TEST_F(BadModel, ATruncatedWeightsFileIsNamedWithItsSizes) {
  const fs::path weights = fs::path(model_) / "model.safetensors";
  fs::resize_file(weights, fs::file_size(weights) / 2);
  expect_refused(AllOf(HasSubstr("model.safetensors"), HasSubstr("expected"), HasSubstr("found")));
}

TEST_F(BadModel, AnotherArchitectureIsNamedWithTheSupportedOnes) {
  std::string config = here_.read("model/config.json");
  const std::string known = "Qwen2ForCausalLM";
  config.replace(config.find(known), known.size(), "LlamaForCausalLM");
  here_.write("model/config.json", config);
  expect_refused(
      AllOf(HasSubstr("config.json"), HasSubstr("LlamaForCausalLM"), HasSubstr("Qwen2ForCausalLM")));
}

TEST_F(BadModel, ATokenizerThatIsNotBpeIsRefused) {
  here_.write("model/tokenizer.json", R"({"model": {"type": "WordPiece", "vocab": {"a": 0}}})");
  expect_refused(AllOf(HasSubstr("tokenizer.json"), HasSubstr("WordPiece"), HasSubstr("BPE")));
}

TEST_F(BadModel, AFolderThatIsNotThereIsNamed) {
  fs::remove_all(model_);
  expect_refused(HasSubstr("model"));
}

// ---- places that are taken
// --------------------------------------------------------------------------------------

TEST(BadInput, ASecondBrokerOnTheSameJournalIsRefusedAndTheFirstGoesOn) {
  Deployment here;
  const Process broker = here.start_broker();
  const Process worker = here.start_worker("ann");
  const RunResult second = run_process(here.broker_arguments(
      {"broker.submit=ipc://" + here.path("run/other"), "broker.work=ipc://" + here.path("run/other-work"),
       "broker.results_in=ipc://" + here.path("run/other-in"),
       "broker.results_out=ipc://" + here.path("run/other-out")}));
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, AllOf(HasSubstr("journal"), HasSubstr(std::to_string(broker.pid()))));
  EXPECT_EQ(here.tandem({"submit", "--task", "sentiment", "still here?"}).status, 0);
}

TEST(BadInput, APortInUseIsNamed) {
  Deployment here;
  // Ask for a free port, then take it twice.
  const std::string settings = "broker.submit=tcp://127.0.0.1:";
  int port = 0;
  std::optional<Process> first;
  for (port = 20000 + ::getpid() % 20000; port < 60000; ++port) {
    Process broker(
        here.broker_arguments({settings + std::to_string(port)}),
        {.input = "", .environment = {{"TANDEM_RUN_DIR", here.path("run")}}, .output_dir = here.folder()});
    if (broker.wait_for_output("ready")) {
      first.emplace(std::move(broker));
      break;
    }
  }
  ASSERT_TRUE(first);
  Deployment there;
  const RunResult second = run_process(
      there.broker_arguments({settings + std::to_string(port)}),
      {.input = "", .environment = {{"TANDEM_RUN_DIR", there.path("run")}}, .output_dir = there.folder()});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, AllOf(HasSubstr(std::to_string(port)), HasSubstr("in use")));
  EXPECT_TRUE(first->running());
}

TEST(BadInput, WithoutABrokerTheCommandSaysWhatItTriedAndWhatToDo) {
  Deployment here;
  const RunResult run = here.tandem({"jobs"});
  EXPECT_EQ(run.status, 3);
  EXPECT_THAT(run.err, AllOf(HasSubstr(here.path("run")), HasSubstr("tandem-broker")));
}

// ---- a full disk
// --------------------------------------------------------------------------------------------------

bool small_disks_work(Deployment& here) {
  auto probe = on_small_disk(here.path("probe"), "64k", {"tandem-broker", "--version"});
  return run_process(probe).status == 0;
}

// Nobody hears "accepted" for what is not on disk: the broker ends with the reason, and what it had accepted
// before is done once there is room.
TEST(BadInput, AFullDiskUnderTheJournalEndsTheBrokerWithTheReason) {
  Deployment here;
  if (!small_disks_work(here)) GTEST_SKIP() << "this system does not let users mount a tmpfs";
  Process broker(
      on_small_disk(here.path("journal"), "256k", here.broker_arguments()),
      {.input = "", .environment = {{"TANDEM_RUN_DIR", here.path("run")}}, .output_dir = here.folder()});
  ASSERT_TRUE(broker.wait_for_output("ready")) << broker.err();
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += json{{"text", std::string(4000, 'x')}}.dump() + "\n";
  Process run = here.start_tandem({"run", "-", "-o", here.path("out.jsonl")}, lines);
  EXPECT_EQ(broker.wait(std::chrono::seconds(30)), 1);
  EXPECT_THAT(broker.err(), HasSubstr("disk full"));
}

TEST(BadInput, AFullDiskUnderTheCacheCostsTheCacheOnly) {
  Deployment here;
  if (!small_disks_work(here)) GTEST_SKIP() << "this system does not let users mount a tmpfs";
  const Process broker = here.start_broker();
  auto arguments = here.worker_arguments("ann", fs::absolute(kTinyModel).string());
  Process worker(
      on_small_disk(here.path("cache"), "128k", arguments),
      {.input = "", .environment = {{"TANDEM_RUN_DIR", here.path("run")}}, .output_dir = here.folder()});
  ASSERT_TRUE(worker.wait_for_output("ready")) << worker.err();
  std::string lines;
  for (int i = 0; i < 400; ++i) lines += json{{"text", "text number " + std::to_string(i)}}.dump() + "\n";
  const RunResult run = here.tandem({"run", "-", "--tasks", "sentiment,sentiment3"}, lines);
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(rows_of(run.out).size(), 400u);
}

}  // namespace
}  // namespace tandem::testing
