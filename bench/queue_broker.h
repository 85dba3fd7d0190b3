// A tandem-broker for benches: the program itself, in a process of its own, so that what it uses can be told
// apart from what producer and workers use.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "shared/base/result.h"
#include "shared/net/socket.h"
#include "tests/support/process.h"

namespace tandem::bench {

struct BrokerOptions {
  enum class Transport : uint8_t { kIpc, kTcp, kCurve };  // tcp: loopback, free ports; CURVE is tcp with keys

  std::filesystem::path folder;  // of journal and ipc sockets; another broker may have left a journal there
  Transport transport = Transport::kIpc;
  uint64_t journal_bytes = 16ull << 30;  // address space; the file grows as it is used
};

// Killed (SIGKILL) when the object goes: what it had promised is on disk. One thread.
class BrokerProcess {
 public:
  // Returns when it can be used: the journal is replayed. kIo with what the program said when it does not
  // come up.
  static Result<BrokerProcess> start(const BrokerOptions& options);

  pid_t pid() const { return process_.pid(); }
  // How producers and workers reach it.
  const std::string& submit() const { return submit_; }
  const std::string& work() const { return work_; }
  const std::string& results_in() const { return results_in_; }
  const std::string& results_out() const { return results_out_; }
  const SocketOptions& client_options() const { return client_options_; }
  const SocketOptions& worker_options() const { return worker_options_; }

 private:
  explicit BrokerProcess(testing::Process process) : process_(std::move(process)) {}

  testing::Process process_;
  std::string submit_, work_, results_in_, results_out_;
  SocketOptions client_options_, worker_options_;
};

}  // namespace tandem::bench
