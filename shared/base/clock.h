// Time, given to whoever decides. Deciding code takes a TimePoint; only main() makes a SystemClock.

#pragma once

#include <chrono>
#include <cstdint>

namespace tandem {

using std::chrono::milliseconds;
using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic: for leases, time-outs and measuring. Safe from any thread.
  virtual TimePoint now() const = 0;
  // Milliseconds since 1970 in UTC: for what is stored or shown. May jump.
  virtual int64_t wall_ms() const = 0;
};

class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
  int64_t wall_ms() const override {
    return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

// For tests: stands still until told. One thread.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  int64_t wall_ms() const override { return wall_ms_; }
  void advance(Duration by) {
    now_ += by;
    wall_ms_ += std::chrono::duration_cast<milliseconds>(by).count();
  }
  void set_wall_ms(int64_t wall_ms) { wall_ms_ = wall_ms; }

 private:
  TimePoint now_{std::chrono::hours(1)};
  int64_t wall_ms_ = 1'700'000'000'000;
};

inline int64_t to_us(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

}  // namespace tandem
