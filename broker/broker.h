// The turn: hear everything, decide once, write it down, and only then speak.

#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/dispatcher.h"
#include "broker/figures.h"
#include "broker/journal.h"
#include "broker/minute_line.h"
#include "broker/ports.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/result.h"
#include "shared/base/wake.h"

namespace tandem::broker {

struct TurnConfig {
  // New jobs are refused when this share of the journal is used; the rest is for the results of those inside.
  double watermark = 0.8;
};

// One thread. All that it is given outlives it.
class Broker {
 public:
  // Replays the journal. kCorrupt names the fact that cannot be; nothing was changed.
  static Result<Broker> recover(const DispatcherConfig& dispatcher, const TurnConfig& config,
                                const Clock& clock, Journal& journal, Ports& ports, const Log& log);

  // Waits for something to do, at most until `wake` is set, and does it. An error means that nothing of this
  // turn was said and the journal is as it was before; the process should end, and replay is the way back.
  Result<void> run_turn(Wake& wake);

  const Dispatcher& dispatcher() const { return *dispatcher_; }

  // For metrics: a copy of all counters.
  BrokerFigures figures() const;
  // The state of the queue in a few words, for service managers; new with every line of the log that says it.
  const std::string& state() const { return state_; }

 private:
  Broker(std::unique_ptr<Dispatcher> dispatcher, const TurnConfig& config, const Clock& clock,
         Journal& journal, Ports& ports, const Log& log);
  Result<void> commit(const FactBatch& facts);
  Result<void> reckon_room(const FactBatch& facts);
  Result<void> measure_room();
  Result<void> speak(Plan plan);
  Result<void> speak_at(Door door, Plan& plan);
  Result<void> add_payloads(Job& job, const std::vector<Sequence>& bodies, const FactBatch& facts);
  Result<void> add_payloads(Fetched& fetched, const std::vector<Sequence>& bodies);
  Result<void> add_payloads(Inspected& inspected, const std::vector<Sequence>& bodies);
  void publish_outcomes(Plan& plan);
  void log_events(const std::vector<Event>& events) const;
  void log_plan(const Plan& plan) const;
  void tell_state();

  std::unique_ptr<Dispatcher> dispatcher_;
  TurnConfig config_;
  const Clock* clock_;
  Journal* journal_;
  Ports* ports_;
  Log log_;

  TimePoint wake_at_;
  JournalUsage usage_;
  TimePoint measure_at_;
  bool was_full_ = false;
  CommitFigures commits_;
  MinuteLine minute_;
  std::string state_;
  uint64_t submit_room_bytes_ = std::numeric_limits<uint64_t>::max();
  std::vector<Event> own_events_;  // what the broker tells itself, for the next turn
};

}  // namespace tandem::broker
