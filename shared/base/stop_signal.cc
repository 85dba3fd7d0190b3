#include "shared/base/stop_signal.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "shared/base/assert.h"

namespace tandem {
namespace {

std::atomic<int> stop_number{0};
std::atomic<Wake*> stop_wake{nullptr};

void on_signal(int number) {
  if (stop_number.exchange(number) != 0) ::_exit(128 + number);
  if (Wake* wake = stop_wake.load()) wake->set();
}

}  // namespace

StopSignal::StopSignal() {
  TANDEM_ASSERT(stop_wake.exchange(&wake_) == nullptr, "a process has one StopSignal");
  stop_number = 0;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

StopSignal::~StopSignal() {
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGINT, SIG_DFL);
  stop_wake = nullptr;
}

bool StopSignal::requested() const {
  return stop_number.load() != 0;
}
int StopSignal::number() const {
  return stop_number.load();
}

}  // namespace tandem
