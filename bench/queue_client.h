// The producer of a broker.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>

#include "bench/queue_broker.h"
#include "bench/queue_life.h"
#include "shared/net/sockets.h"
#include "shared/protocol/messages.h"

namespace tandem::bench {

// One thread. A job that is refused or fails ends the benchmark.
//
// Knows its jobs as a real client does: counts each outcome once, and fetches what is missing when nothing
// was published for 100 ms (a subscriber whose queue is full misses messages).
class BenchClient final : public RunningQueue {
 public:
  // kListens: waits until outcomes are heard, for which workers must be there. kListensToBacklog: every
  // outcome counts, also those of jobs from before. kSubmitsOnly: no hear().
  enum class Use : uint8_t { kListens, kListensToBacklog, kSubmitsOnly };
  // `broker` outlives it.
  explicit BenchClient(const BrokerProcess& broker, Use use = Use::kListens);

  void submit(size_t n_jobs) override;
  size_t hear() override;
  pid_t server() const override { return broker_->pid(); }

  // Hands in jobs and waits until all are accepted, with no more than a few thousand under way.
  Result<void> submit_and_wait(size_t n_jobs);
  // Outcomes that were not heard and had to be fetched.
  size_t n_fetched() const { return n_fetched_; }

 private:
  void send(size_t n_jobs);
  void read_published();
  void read_answers();
  void read(const Accepted& accepted);
  void read(const Fetched& fetched);
  void fetch_missing();

  const BrokerProcess* broker_;
  const Use use_;
  Payloads payloads_;
  NetContext context_;
  DealerSocket submit_;
  SubscriberSocket results_;
  uint64_t request_ = 0;
  std::unordered_set<JobId> outstanding_;  // of kListens
  std::chrono::steady_clock::time_point heard_at_;
  size_t n_accepted_ = 0, n_fetched_ = 0;
  size_t n_outcomes_ = 0;  // since the last hear()
};

// A broker with a new journal, two null workers and a producer.
struct TandemOptions {
  BrokerOptions::Transport transport = BrokerOptions::Transport::kIpc;
};
Result<std::unique_ptr<RunningQueue>> start_tandem(const TandemOptions& options = {});

}  // namespace tandem::bench
