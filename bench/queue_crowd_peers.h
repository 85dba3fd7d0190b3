// Many workers or clients of one broker, each with sockets of its own, on one thread.

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/queue_broker.h"
#include "bench/queue_life.h"
#include "shared/base/wake.h"
#include "shared/net/sockets.h"

namespace tandem::bench {

// A ZeroMQ context has no more than 1,023 sockets, and every peer has two.
inline constexpr size_t kCrowdPeersMax = 500;
// Files that a peer needs open in this process: each socket has a mailbox and a connection.
inline constexpr size_t kFilesPerPeer = 4;

// What one of the crowd does; called by the crowd's thread alone.
class CrowdPeer {
 public:
  virtual ~CrowdPeer() = default;
  virtual Socket& socket() = 0;  // to wait for
  virtual void say_hello() = 0;
  virtual void beat() = 0;  // every two seconds
  // Reads and answers what waits; the number of messages.
  virtual size_t hear() = 0;
  virtual bool was_answered() const = 0;
};

// With a worker's two sockets; answers every job. A `credit` of 0 asks for none.
std::unique_ptr<CrowdPeer> make_crowd_worker(NetContext& context, const BrokerProcess& broker,
                                             std::string name, uint32_t credit);
// With a client's two sockets; listens to its results, which never come, and asks for the outcome of a job
// that is not there.
std::unique_ptr<CrowdPeer> make_crowd_client(NetContext& context, const BrokerProcess& broker,
                                             const std::string& name);

class Crowd {
 public:
  enum class Kind : uint8_t { kWorkers, kClients };
  // `first`: the number in the name of the first. `broker` outlives it.
  Crowd(const BrokerProcess& broker, Kind kind, size_t first, size_t n_peers, uint32_t credit);
  ~Crowd();
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  // Until the broker has answered every one. kTimeout says how many it has.
  Result<void> wait_until_there(std::chrono::seconds at_most) const;

 private:
  void run(bool is_idle);

  NetContext context_;
  std::vector<std::unique_ptr<CrowdPeer>> peers_;
  Wake wake_;
  std::atomic<size_t> n_answered_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace tandem::bench
