// Says what was decided, when it is on disk: adds the payloads, which are there only, and sends.

#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "broker/dispatcher.h"
#include "broker/journal.h"
#include "broker/plan.h"
#include "broker/ports.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/result.h"

namespace tandem::broker {

// What clients ask for of finished jobs is read from the disk at no more than some tens of megabytes a turn,
// so that one that asks for gigabytes does not hold up everybody else; the answers above that come in the
// next turns, one for each connection. Nothing is read for a connection that does not read what it was sent.
// One thread.
class Speaker {
 public:
  // All outlive it.
  Speaker(const Dispatcher& dispatcher, Journal& journal, Ports& ports, const Clock& clock, const Log& log);

  // In the order of the plans, whose facts are written down. Errors are those of Journal::read().
  Result<void> speak(std::vector<Plan> plans);
  // Answers wait: speak() again soon, also without plans.
  bool is_behind() const { return !behind_.empty(); }

  // What follows from what could not be read, for the next turn.
  std::vector<Event> take_events();

 private:
  Result<void> speak_one(Plan& plan);
  Result<void> speak_at(Door door, Plan& plan);
  Result<void> catch_up();
  // An answer of bodies on disk, now or later.
  Result<void> answer(Speech& speech);
  Result<void> answer_now(Speech& speech);
  bool reads(const std::string& peer);
  void spend(size_t n_bytes) { n_bytes_left_ -= std::min(n_bytes, n_bytes_left_); }
  Result<void> add_payloads(Job& job, const std::vector<Sequence>& bodies, const FactBatch& facts);
  Result<void> add_payloads(Fetched& fetched, const std::vector<Sequence>& bodies);
  Result<void> add_payloads(Inspected& inspected, const std::vector<Sequence>& bodies);
  void publish_outcomes(Plan& plan);

  const Dispatcher* dispatcher_;
  Journal* journal_;
  Ports* ports_;
  const Clock* clock_;
  Log log_;
  std::vector<Event> events_;
  size_t n_bytes_left_ = 0;                                // of answers, in this turn
  std::deque<Speech> behind_;                              // answers for which there was no time
  std::unordered_set<std::string> peers_behind_;           // theirs
  std::unordered_map<std::string, TimePoint> not_before_;  // peers that did not read, and when to try again
};

}  // namespace tandem::broker
