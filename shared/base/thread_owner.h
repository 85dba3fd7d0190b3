// For objects that belong to one thread: the first call claims, a call from another thread aborts.

#pragma once

#include <atomic>
#include <thread>

#include "shared/base/assert.h"

namespace tandem {

class ThreadOwner {
 public:
  ThreadOwner() = default;
  // An object may be built on one thread and moved to its own before its first use.
  ThreadOwner(ThreadOwner&&) noexcept {}
  ThreadOwner& operator=(ThreadOwner&&) noexcept {
    owner_.store(std::thread::id{});
    return *this;
  }

  void check() {
    std::thread::id nobody{};
    const std::thread::id me = std::this_thread::get_id();
    if (owner_.compare_exchange_strong(nobody, me)) return;
    TANDEM_ASSERT(nobody == me, "an object with one owner is used from its own thread only");
  }

 private:
  std::atomic<std::thread::id> owner_{};
};

}  // namespace tandem
