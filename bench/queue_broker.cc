#include "bench/queue_broker.h"

#include <chrono>
#include <utility>
#include <vector>

#include "shared/base/file.h"
#include "shared/net/keys.h"

namespace tandem::bench {
namespace {

// What stands behind "name=" in the line that says ready.
std::string fact(const std::string& line, const std::string& name) {
  const size_t at = line.find(" " + name + "=");
  if (at == std::string::npos) return {};
  const size_t begin = at + name.size() + 2;
  return line.substr(begin, line.find_first_of(" \n", begin) - begin);
}

// Pairs for the broker, its client and its workers, and the two files that the broker reads.
struct Keys {
  KeyPair broker, client, worker;
  std::filesystem::path secret_file, allow_file;
};

Result<Keys> make_keys(const std::filesystem::path& folder) {
  Keys keys;
  TANDEM_ASSIGN(keys.broker, make_key_pair("broker"));
  TANDEM_ASSIGN(keys.client, make_key_pair("bench"));
  TANDEM_ASSIGN(keys.worker, make_key_pair("null"));
  keys.secret_file = folder / "broker.key";
  keys.allow_file = folder / "allow";
  std::error_code ignored;
  std::filesystem::remove(keys.secret_file, ignored);  // of a broker that was here before
  TANDEM_TRY(save_key_pair(keys.secret_file, keys.broker));
  TANDEM_TRY(write_file_atomically(keys.allow_file, "client " + keys.client.public_key + " bench\n" +
                                                        "worker " + keys.worker.public_key + " null\n"));
  return keys;
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

  std::optional<Keys> keys;
  if (options.transport == BrokerOptions::Transport::kCurve) {
    TANDEM_ASSIGN(keys, make_keys(options.folder));
    set("security.secret_key_file", keys->secret_file.string());
    set("security.allow_file", keys->allow_file.string());
  }

  testing::ProcessOptions process_options;
  process_options.output_dir = options.folder;
  BrokerProcess broker(testing::Process(std::move(argv), process_options));
  if (!broker.process_.wait_for_output("ready ", std::chrono::minutes(10))) {
    return fail(ErrorCode::kIo, "expected a broker that is ready, found: " + broker.process_.err());
  }
  if (keys) {
    broker.client_options_.client_keys = ClientKeys{keys->client, keys->broker.public_key};
    broker.worker_options_.client_keys = ClientKeys{keys->worker, keys->broker.public_key};
  }
  const std::string line = broker.process_.out();
  broker.submit_ = fact(line, "submit");
  broker.work_ = fact(line, "work");
  broker.results_in_ = fact(line, "results_in");
  broker.results_out_ = fact(line, "results_out");
  return broker;
}

}  // namespace tandem::bench
