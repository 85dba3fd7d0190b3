// SIGTERM and SIGINT as something a loop can wait for.

#pragma once

#include "shared/base/wake.h"

namespace tandem {

// One per process, made in main() before any thread starts. SIGPIPE is ignored from then on.
// `wake()` becomes readable at the first signal; a second SIGINT or SIGTERM ends the process at once.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool requested() const;
  int number() const;  // the signal that asked, or 0
  Wake& wake() { return wake_; }

 private:
  Wake wake_;
};

}  // namespace tandem
