// So many lines of a kind in a second, and a count of those left out: a log that strangers can make long is a
// disk that strangers can fill.

#pragma once

#include <cstddef>
#include <utility>

#include "shared/base/clock.h"

namespace tandem::broker {

// One thread.
class LogAllowance {
 public:
  explicit LogAllowance(size_t lines_max) : lines_max_(lines_max) {}

  // Whether one more line may be written.
  bool admits(TimePoint now) {
    if (now - began_at_ >= std::chrono::seconds(1)) {
      began_at_ = now;
      n_lines_ = 0;
    }
    if (n_lines_ < lines_max_) {
      ++n_lines_;
      return true;
    }
    ++n_left_out_;
    return false;
  }

  // How many were left out and not told of yet; 0 until their second is over. To be asked once a turn.
  size_t take_left_out(TimePoint now) {
    return now - began_at_ >= std::chrono::seconds(1) ? std::exchange(n_left_out_, 0) : 0;
  }

 private:
  size_t lines_max_;
  size_t n_lines_ = 0, n_left_out_ = 0;
  TimePoint began_at_;
};

}  // namespace tandem::broker
