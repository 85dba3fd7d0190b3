// The producer of a broker.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "bench/queue_broker.h"
#include "bench/queue_life.h"
#include "shared/net/sockets.h"

namespace tandem::bench {

// One thread. A job that is refused or fails ends the benchmark.
class BenchClient final : public RunningQueue {
 public:
  // kListens: waits until outcomes are heard, for which workers must be there, and then for silence.
  // kListensToBacklog: the same without the silence, since a backlog ends in it. kSubmitsOnly: no hear().
  enum class Use : uint8_t { kListens, kListensToBacklog, kSubmitsOnly };
  // `broker` outlives it.
  explicit BenchClient(const BrokerProcess& broker, Use use = Use::kListens);

  void submit(size_t n_jobs) override;
  size_t hear() override;
  pid_t server() const override { return broker_->pid(); }

  // Hands in jobs and waits until all are accepted, with no more than a few thousand under way.
  Result<void> submit_and_wait(size_t n_jobs);

 private:
  void send(size_t n_jobs);
  size_t read_accepted();

  const BrokerProcess* broker_;
  Payloads payloads_;
  NetContext context_;
  DealerSocket submit_;
  SubscriberSocket results_;
  uint64_t request_ = 0;
};

// A broker with a new journal, two null workers and a producer.
struct TandemOptions {
  BrokerOptions::Transport transport = BrokerOptions::Transport::kIpc;
};
Result<std::unique_ptr<RunningQueue>> start_tandem(const TandemOptions& options = {});

}  // namespace tandem::bench
