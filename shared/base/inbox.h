// Inbox<T>: how threads pass finished objects on. One reader, any number of writers, no other shared state.

#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "shared/base/clock.h"
#include "shared/base/wake.h"

namespace tandem {

// Unbounded on purpose: whoever writes holds a credit for what it writes (DESIGN, decision 4), so the
// bound is upstream. `wake`, if given, is set with every push, for a reader that waits in poll().
template <typename T>
class Inbox {
 public:
  explicit Inbox(Wake* wake = nullptr) : wake_(wake) {}
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Any thread. After close() the item is dropped.
  void push(T item) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      items_.push_back(std::move(item));
    }
    filled_.notify_one();
    if (wake_ != nullptr) wake_->set();
  }

  // No more items will come; a waiting reader wakes up.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    filled_.notify_all();
    if (wake_ != nullptr) wake_->set();
  }

  // Everything that is there, in order of arrival, without waiting.
  std::vector<T> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(items_, {});
  }

  // Everything that is there, waiting for the first item; empty when closed.
  std::vector<T> wait() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [&] { return !items_.empty() || closed_; });
    return std::exchange(items_, {});
  }

  // The same, for at most `time`; empty when closed or nothing came.
  std::vector<T> wait_for(Duration time) {
    std::unique_lock lock(mutex_);
    // wait_until the system clock: g++ 12's ThreadSanitizer does not know pthread_cond_clockwait.
    filled_.wait_until(lock, std::chrono::system_clock::now() + time,
                       [&] { return !items_.empty() || closed_; });
    return std::exchange(items_, {});
  }

  bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<T> items_;
  bool closed_ = false;
  Wake* wake_;
};

}  // namespace tandem
