// How far a run is: the arithmetic, and the line that shows it.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "shared/base/clock.h"
#include "shared/base/result.h"

namespace tandem::cli {

struct RunCounts {
  uint64_t done = 0;  // rows with their outcome, failed ones, too
  uint64_t failed = 0;
  uint64_t cached = 0;
  uint64_t tokens = 0;  // through the model
  std::optional<uint64_t> total;
  std::string held_back;  // why the broker takes no more at the moment
  bool operator==(const RunCounts&) const = default;
};

// Rates over the last ten seconds, so that they follow what happens now. Pure.
class ProgressRate {
 public:
  void add(const RunCounts& counts, TimePoint now);
  double rows_per_s() const;
  double tokens_per_s() const;
  // Seconds; nothing while the total or the rate is not known.
  std::optional<double> time_left() const;

 private:
  struct Sample {
    TimePoint at;
    uint64_t done;
    uint64_t tokens;
  };
  std::deque<Sample> samples_;
  RunCounts latest_;
};

// "[########------------]  40%  40/100  2 failed  7 cached  12.5 rows/s  310 tokens/s  00:05 left", cut to
// `width` columns. While the broker has no room, that stands in the place of the rates.
std::string progress_bar(const RunCounts& counts, const ProgressRate& rate, size_t width);
// {"done":..., "total":..., "failed":..., "cached":..., "rows_per_s":..., "tokens_per_s":...,
// "seconds_left":..., "held_back":false}
std::string progress_json(const RunCounts& counts, const ProgressRate& rate);
// "12 s", "3 min 20 s", "2 h 5 min"
std::string duration_text(double seconds);

// Writes to standard error: a bar that stays in its line (ten times a second at most), or a line of JSON
// every second.
class ProgressPrinter {
 public:
  enum class Mode { kNone, kBar, kJson };
  // "auto" is a bar on a terminal and nothing else. kInvalid names the choices.
  static Result<Mode> mode_from(const std::string& name);

  explicit ProgressPrinter(Mode mode) : mode_(mode) {}
  ~ProgressPrinter() { clear(); }

  void show(const RunCounts& counts, TimePoint now, bool at_once = false);
  // A line that stays, above the bar.
  void note(const std::string& text);
  void clear();
  const ProgressRate& rate() const { return rate_; }

 private:
  const Mode mode_;
  ProgressRate rate_;
  std::optional<TimePoint> shown_at_;
  bool on_screen_ = false;
};

}  // namespace tandem::cli
