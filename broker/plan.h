// What goes into a turn and what comes out of it, as values.

#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "broker/facts.h"
#include "shared/base/clock.h"
#include "shared/protocol/messages.h"

namespace tandem::broker {

enum class Door : uint8_t { kSubmit, kWork, kResults };

// Somebody at the other end of a socket. `peer` is the connection's identity as ZeroMQ has it: bytes, not
// text. Empty behind the results door, which is one way.
struct Address {
  Door door = Door::kSubmit;
  std::string peer;

  bool operator==(const Address&) const = default;
};

struct Event {
  Address from;
  Message message;
  // From a client's key: its name, and jobs of other clients do not exist for it. Empty: nothing is hidden,
  // because it is an admin's key or there are no keys.
  std::string only_client = {};
};

// What a turn is told besides the events.
struct TurnStart {
  TimePoint time;
  int64_t wall_ms = 0;
  // Bytes of new jobs that the journal has room for below its watermark.
  uint64_t submit_room_bytes = std::numeric_limits<uint64_t>::max();
  // Bytes of results that it has room for; and whether that is enough to ask workers for more of them.
  uint64_t result_room_bytes = std::numeric_limits<uint64_t>::max();
  bool may_lend = true;
  bool is_last = false;  // what waits to be written down does not wait any more
  uint64_t journal_bytes = 0;
  uint64_t journal_bytes_max = 0;
};

// A message to one peer. Where its items carry payloads that are on disk (Job, Fetched), `bodies` names for
// each item the fact whose body goes into it, 0 for none; for Inspected those of the request and the outcome.
// Otherwise it is empty.
struct Speech {
  Address to;
  Message message;
  std::vector<Sequence> bodies;
};

// A worker that is no longer counted on. For the log.
struct Parting {
  std::string worker;
  bool is_silent = false;  // nothing was heard of it; otherwise it said Goodbye
};

// Outcomes to publish under a client's topic, as places in facts.finished.
struct OutcomeGroup {
  std::string client;
  std::string worker;  // that sent them; empty: the broker, or several
  std::vector<size_t> places;
};

// What one turn decided: first `facts` is committed, then the rest is said.
struct Plan {
  FactBatch facts;

  std::vector<Speech> speeches;
  // Pieces of answers to pass on to the client under whose topic they go.
  std::map<std::string, Partial> partials;
  std::vector<OutcomeGroup> outcomes;

  std::vector<Parting> partings;

  // Questions for which this turn had no time, to be heard first in the next one.
  std::vector<Event> unheard;

  // When to take the next turn even if nothing is heard.
  TimePoint wake_at;
};

}  // namespace tandem::broker
