// A worker that is killed leaves the keys and values of what prompts begin with to the next one.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "tests/support/prometheus_text.h"
#include "tests/system/deployment.h"

namespace tandem::testing {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using ::testing::HasSubstr;

class PrefixRestart : public ::testing::Test {
 protected:
  PrefixRestart() {
    std::filesystem::create_directories(here_.folder() / "tasks");
    here_.write("tasks/mood.toml", R"(version = 1
description = "for tests"
[prompt]
system = "You are a cold and precise judge of moods, and you say one word: good or bad. Nothing else will do, ever."
user = "{text}"
[answer]
kind = "label"
method = "score"
labels = [{ id = "good", say = "Good", display = "Good" }, { id = "bad", say = "Bad", display = "Bad" }]
)");
    here_.write("tasks/reply.toml", R"(version = 1
description = "for tests"
[prompt]
system = "You are a cold and precise judge of moods, and you say one word: good or bad. Nothing else will do, ever."
user = "{text}"
[answer]
kind = "text"
[decode]
tokens_max = 12
)");
  }

  Process start_worker(std::vector<std::string> settings = {}) {
    settings.push_back("tasks.folder=" + here_.path("tasks"));
    settings.push_back("metrics.listen=127.0.0.1:0");
    return here_.start_worker("ann", kTinyModel, settings);
  }
  static double figure(const Process& worker, const std::string& name) {
    const std::string out = worker.out();
    const size_t at = out.find(" metrics=") + 9;
    const std::string answer = http_get(out.substr(at, out.find('\n', at) - at), "/metrics");
    return read_prometheus(answer.substr(std::min<size_t>(answer.size(), 4))).at(name);
  }
  // False when it does not come to that in a minute.
  static bool comes_to(const Process& worker, const std::string& name, double value) {
    const auto until = std::chrono::steady_clock::now() + 60s;
    while (std::chrono::steady_clock::now() < until) {
      if (figure(worker, name) >= value) return true;
      std::this_thread::sleep_for(50ms);
    }
    return false;
  }
  json ask(const std::string& text, const std::string& task) {
    const RunResult run =
        here_.tandem({"run", "-", "--tasks", task}, json{{"text", text}, {"accept", "model"}}.dump() + "\n");
    EXPECT_EQ(run.status, 0) << run.err;
    const auto rows = rows_of(run.out);
    EXPECT_EQ(rows.size(), 1u) << run.out;
    return rows.empty() ? json() : rows[0].at("results").at(task);
  }

  Deployment here_;
};

TEST_F(PrefixRestart, AfterKill9TheTasksBeginningsAreLoadedAndNotComputed) {
  const Process broker = here_.start_broker();
  size_t n_template = 0;
  {
    Process ann = start_worker();
    ASSERT_TRUE(comes_to(ann, "tandem_prefix_stored_blocks_total", 1)) << "computed, before anybody asks";
    n_template = ask("Rooms were lovely.", "mood").at("usage").at("cached_tokens");
    ASSERT_GT(n_template, 32u);
    ASSERT_TRUE(comes_to(ann, "tandem_prefix_store_blocks", static_cast<double>((n_template + 31) / 32)));
    ann.kill(SIGKILL);
    ann.wait();
  }
  Process ann = start_worker();
  const json usage = ask("Breakfast was cold.", "mood").at("usage");
  EXPECT_EQ(usage.at("cached_tokens"), n_template);
  EXPECT_GE(figure(ann, "tandem_prefix_loaded_blocks_total"), static_cast<double>((n_template + 31) / 32));
  ann.kill(SIGTERM);
  EXPECT_EQ(ann.wait(), 0);
  EXPECT_THAT(ann.err(), HasSubstr(" loaded_tokens=" + std::to_string(n_template) + " primed_tokens=0 "));
}

TEST_F(PrefixRestart, AnswersAreTheSameWithTheTierAndWithoutIt) {
  const Process broker = here_.start_broker();
  std::vector<std::string> answers;
  for (const std::string bytes : {"64MiB", "64MiB", "0"}) {
    Process ann =
        start_worker({"cache.prefix_bytes=" + bytes, "cache.folder=" + here_.path("cache-" + bytes)});
    const json reply = ask("The soup was warm and the waiter was not.", "reply");
    EXPECT_EQ(reply.at("source"), "model");
    answers.push_back(reply.at("text"));
    if (bytes != "0") {
      ASSERT_TRUE(comes_to(ann, "tandem_prefix_store_blocks", 2));
    }
    ann.kill(SIGKILL);
    ann.wait();
  }
  EXPECT_EQ(answers[0], answers[1]);
  EXPECT_EQ(answers[0], answers[2]);
}

}  // namespace
}  // namespace tandem::testing
