// When to say how the queue is: once a minute in which something happened.

#pragma once

#include <cstdint>
#include <optional>

#include "broker/dispatcher.h"
#include "shared/base/clock.h"

namespace tandem::broker {

// What happened since the line before.
struct MinuteFigures {
  uint64_t accepted = 0, refused = 0, finished = 0, redelivered = 0;
  bool operator==(const MinuteFigures&) const = default;
};

// One thread. Pure: a line comes a minute after the first event that no line has told of.
class MinuteLine {
 public:
  static constexpr Duration kEvery = std::chrono::minutes(1);

  // To be asked once a turn; figures when a line is due now.
  std::optional<MinuteFigures> look(const DispatcherCounters& counters, TimePoint now);
  // When to ask again even if nothing is heard; nothing while nothing happens.
  std::optional<TimePoint> next() const { return due_; }

 private:
  MinuteFigures told_;  // totals at the last line
  std::optional<TimePoint> due_;
};

inline std::optional<MinuteFigures> MinuteLine::look(const DispatcherCounters& counters, TimePoint now) {
  const MinuteFigures total{counters.accepted, counters.refused, counters.finished, counters.redelivered};
  if (!due_ && total != told_) due_ = now + kEvery;
  if (!due_ || now < *due_) return std::nullopt;
  due_.reset();
  const MinuteFigures news{total.accepted - told_.accepted, total.refused - told_.refused,
                           total.finished - told_.finished, total.redelivered - told_.redelivered};
  told_ = total;
  return news;
}

}  // namespace tandem::broker
