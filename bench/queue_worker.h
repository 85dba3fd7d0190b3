// A worker of a broker that does nothing.

#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "bench/queue_broker.h"
#include "bench/queue_life.h"
#include "shared/base/wake.h"
#include "shared/net/sockets.h"

namespace tandem::bench {

// Has the answer before it was asked: answers all jobs that wait in one message, on a thread of its own.
class NullWorker {
 public:
  NullWorker(const BrokerProcess& broker, std::string name, uint32_t credit = 4096);
  ~NullWorker();
  NullWorker(const NullWorker&) = delete;
  NullWorker& operator=(const NullWorker&) = delete;

 private:
  void run();
  void say_hello();
  void answer(const Job& job, ResultMessage& results);
  void send(ResultMessage& results);

  const std::string name_;
  const uint32_t credit_;
  Payloads answers_;
  NetContext context_;
  DealerSocket work_;
  PushSocket results_;
  Wake wake_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace tandem::bench
