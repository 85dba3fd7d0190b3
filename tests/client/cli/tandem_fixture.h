// The program `tandem` as a child, with or without a broker to talk to.

#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <thread>

#include "tests/client/fake_broker.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace tandem::testing {

class TandemTest : public ::testing::Test {
 protected:
  RunResult tandem(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), "tandem");
    ProcessOptions options;
    options.input = input;
    options.output_dir = folder_.path();
    options.environment = {{"XDG_CONFIG_HOME", folder_.path().string()},
                           {"TANDEM_RUN_DIR", (folder_ / "nobody").string()},
                           {"TANDEM_BROKER", ""},
                           {"USER", "ann"}};
    return run_process(std::move(arguments), options);
  }
  std::string write(const std::string& name, const std::string& content) {
    std::ofstream(folder_ / name) << content;
    return (folder_ / name).string();
  }

  TempDir folder_;
};

// A broker that answers by itself, in a thread of its own.
class TandemWithBroker : public TandemTest {
 protected:
  explicit TandemWithBroker(std::function<void(FakeBroker&)> change = {}) {
    thread_ = std::thread([this, change = std::move(change)] {
      FakeBroker broker(folder_.path());
      if (change) change(broker);
      broker.run(done_);
    });
  }
  ~TandemWithBroker() override {
    done_ = true;
    thread_.join();
  }
  RunResult tandem(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.end(), {"--broker", folder_.path().string()});
    return TandemTest::tandem(std::move(arguments), input);
  }

  std::atomic<bool> done_ = false;
  std::thread thread_;
};

}  // namespace tandem::testing
