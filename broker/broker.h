// The turn: hear everything, decide once; write down what turns decided, and only then speak.

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
#include "broker/log_allowance.h"
#include "broker/minute_line.h"
#include "broker/ports.h"
#include "broker/scribe.h"
#include "broker/speaker.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/result.h"
#include "shared/base/wake.h"

namespace tandem::broker {

struct TurnConfig {
  // New jobs are refused when this share of the journal is used; the rest is for the results of those inside.
  double watermark = 0.8;
};

// One thread, and the scribe's. All that it is given outlives it.
//
// While a commit is under way, further turns are heard and decided; what they decided goes into the next one,
// together. So nobody waits for the disk but those whose facts it writes, and the busier it is, the more
// facts share a commit. Everything is said in the order in which it was decided.
class Broker {
 public:
  // Replays the journal. kCorrupt names the fact that cannot be; nothing was changed.
  static Result<Broker> recover(const DispatcherConfig& dispatcher, const TurnConfig& config,
                                const Clock& clock, Journal& journal, Ports& ports, const Log& log);

  // Waits for something to do, at most until `wake` is set, and does it. An error means that nothing was said
  // of what is not in the journal; the process should end, and replay is the way back.
  Result<void> run_turn(Wake& wake);
  // Writes down and says all that was decided.
  Result<void> settle();

  const Dispatcher& dispatcher() const { return *dispatcher_; }

  // For metrics: a copy of all counters.
  BrokerFigures figures() const;
  // The state of the queue in a few words, for service managers; new with every line of the log that says it.
  const std::string& state() const { return state_; }

 private:
  Broker(std::unique_ptr<Dispatcher> dispatcher, const TurnConfig& config, const Clock& clock,
         Journal& journal, Ports& ports, const Log& log);
  TurnStart turn_start() const;
  void postpone(std::vector<Event> questions);
  bool is_far_ahead() const;
  Result<void> write_and_speak();
  Result<void> speak(Written written);
  Result<void> reckon_room(const FactBatch& facts);
  Result<void> measure_room_if_due();
  Result<void> measure_room();
  void log_events(const std::vector<Event>& events);
  void log_plan(const Plan& plan);
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
  bool is_measure_old_ = false;  // there was a commit since
  bool was_full_ = false, could_lend_ = true;
  CommitFigures commits_;
  MinuteLine minute_;
  LogAllowance worker_lines_{20};  // of workers that come and go
  LogAllowance dropped_lines_{1};  // of questions
  std::string state_;
  uint64_t submit_room_bytes_ = std::numeric_limits<uint64_t>::max();
  uint64_t result_room_bytes_ = std::numeric_limits<uint64_t>::max();
  bool may_lend_ = true;

  std::unique_ptr<Scribe> scribe_;
  std::vector<Plan> decided_;     // and not given to the scribe yet
  size_t n_decided_from_ = 0;     // messages, for those
  uint64_t decided_bytes_ = 0;    // of the journal, for those
  uint64_t unwritten_bytes_ = 0;  // for those and for what the scribe writes
  std::vector<Event> unheard_;    // questions, for the next turn
  Speaker speaker_;
};

}  // namespace tandem::broker
