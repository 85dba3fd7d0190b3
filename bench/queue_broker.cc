#include "bench/queue_broker.h"

#include <chrono>
#include <utility>
#include <vector>

namespace tandem::bench {
namespace {

// What stands behind "name=" in the line that says ready.
std::string fact(const std::string& line, const std::string& name) {
  const size_t at = line.find(" " + name + "=");
  if (at == std::string::npos) return {};
  const size_t begin = at + name.size() + 2;
  return line.substr(begin, line.find_first_of(" \n", begin) - begin);
}

}  // namespace

Result<BrokerProcess> BrokerProcess::start(const BrokerOptions& options) {
  const auto endpoint = [&](const std::string& name) {
    return options.transport == BrokerOptions::Transport::kIpc ? "ipc://" + (options.folder / name).string()
                                                               : "tcp://127.0.0.1:0";
  };
  std::vector<std::string> argv = {"tandem-broker"};
  const auto set = [&](const std::string& key, const std::string& value) {
    argv.insert(argv.end(), {"--set", key + "=" + value});
  };
  set("broker.submit", endpoint("submit"));
  set("broker.work", endpoint("work"));
  set("broker.results_in", endpoint("results-in"));
  set("broker.results_out", endpoint("results-out"));
  set("broker.log_level", "warn");
  set("broker.restart_grace_ms", "0");  // no worker comes back that still holds a job
  set("journal.folder", (options.folder / "journal").string());
  set("journal.bytes_max", std::to_string(options.journal_bytes));

  testing::ProcessOptions process_options;
  process_options.output_dir = options.folder;
  BrokerProcess broker(testing::Process(std::move(argv), process_options));
  if (!broker.process_.wait_for_output("ready ", std::chrono::minutes(10))) {
    return fail(ErrorCode::kIo, "expected a broker that is ready, found: " + broker.process_.err());
  }
  const std::string line = broker.process_.out();
  broker.submit_ = fact(line, "submit");
  broker.work_ = fact(line, "work");
  broker.results_in_ = fact(line, "results_in");
  broker.results_out_ = fact(line, "results_out");
  return broker;
}

}  // namespace tandem::bench
