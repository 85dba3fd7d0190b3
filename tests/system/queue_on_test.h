// A broker with null workers on sockets of one test, and the client library's way to it.

#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/include/tandem/client.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace tandem::testing {

class QueueOnTest : public ::testing::Test {
 protected:
  QueueOnTest() { std::filesystem::create_directories(dir_ / "run"); }

  std::string endpoint(const std::string& door) const { return "ipc://" + (dir_ / "run" / door).string(); }

  // Kills the one before, if there is one.
  void start_broker(const std::vector<std::string>& settings = {}) {
    broker_.reset();
    std::vector<std::string> arguments = {"tandem-broker", "--set",
                                          "journal.folder=" + (dir_ / "journal").string()};
    for (const std::string& setting : settings) {
      arguments.push_back("--set");
      arguments.push_back(setting);
    }
    broker_.emplace(arguments, ProcessOptions{.input = "",
                                              .environment = {{"TANDEM_RUN_DIR", (dir_ / "run").string()}},
                                              .output_dir = dir_.path()});
    ASSERT_TRUE(broker_->wait_for_output("ready")) << broker_->err();
  }

  std::unique_ptr<Process> start_worker(const std::string& name, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {
        "null-worker", "--name", name, "--work", endpoint("work"), "--results", endpoint("results-in")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto worker = std::make_unique<Process>(
        arguments, ProcessOptions{.input = "", .environment = {}, .output_dir = dir_.path()});
    EXPECT_TRUE(worker->wait_for_output("ready")) << worker->err();
    return worker;
  }

  std::unique_ptr<Client> open_client(const std::string& name, size_t outstanding_max = 1024) {
    ClientOptions options;
    options.submit_endpoint = endpoint("submit");
    options.results_endpoint = endpoint("results-out");
    options.name = name;
    options.outstanding_max = outstanding_max;
    auto client = Client::open(options);
    EXPECT_TRUE(client) << client.error().text;
    return std::move(*client);
  }

  static void submit(Client& client, size_t n, const std::string& word = "text") {
    for (size_t i = 0; i < n; ++i) {
      JobRequest request;
      request.tasks = {"echo"};
      request.text = word + " " + make_job_id().to_string();
      const auto id = client.submit(request);
      ASSERT_TRUE(id) << id.error().text;
    }
  }
  // Until `n` outcomes have come; fewer when that takes too long.
  static std::vector<Outcome> take_outcomes(Client& client, size_t n,
                                            std::chrono::seconds at_most = std::chrono::seconds(60)) {
    const SystemClock clock;
    std::vector<Outcome> outcomes;
    for (const TimePoint end = clock.now() + at_most; outcomes.size() < n && clock.now() < end;) {
      for (ClientEvent& event : client.wait(milliseconds(50))) {
        if (auto* outcome = std::get_if<Outcome>(&event)) outcomes.push_back(std::move(*outcome));
      }
    }
    return outcomes;
  }

  const TempDir dir_;
  std::optional<Process> broker_;
};

}  // namespace tandem::testing
