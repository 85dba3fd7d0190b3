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
    return run(std::move(arguments), input);
  }
  // With standard output on a disk without room, or on a pipe whose reader has gone. Nothing comes out.
  enum class Lost { kDiskFull, kNobodyReads };
  RunResult tandem_lost(Lost lost, std::vector<std::string> arguments) {
    const std::string disk_full = "exec \"$@\" > /dev/full";
    const std::string nobody_reads =
        "rm -f pipe; mkfifo pipe && exec 3<>pipe 4>pipe && exec 3>&- >&4 4>&- && exec \"$@\"";
    arguments.insert(arguments.begin(), {"/bin/sh", "-c",
                                         "cd '" + folder_.path().string() + "' && " +
                                             (lost == Lost::kDiskFull ? disk_full : nobody_reads),
                                         "sh", (bin_dir() / "tandem").string()});
    return run(std::move(arguments), "");
  }
  RunResult run(std::vector<std::string> argv, const std::string& input) {
    ProcessOptions options;
    options.input = input;
    options.output_dir = folder_.path();
    options.environment = {{"XDG_CONFIG_HOME", folder_.path().string()},
                           {"TANDEM_RUN_DIR", (folder_ / "nobody").string()},
                           {"TANDEM_BROKER", ""},
                           {"USER", "ann"}};
    return run_process(std::move(argv), options);
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
  RunResult tandem_lost(Lost lost, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--broker", folder_.path().string()});
    return TandemTest::tandem_lost(lost, std::move(arguments));
  }

  std::atomic<bool> done_ = false;
  std::thread thread_;
};

}  // namespace tandem::testing
