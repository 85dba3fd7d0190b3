// How the figures of a busy thread come to those who ask for them now and then.

#pragma once

#include <poll.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "shared/base/clock.h"
#include "shared/base/wake.h"

namespace tandem {

// One thread owns what T is a copy of. It looks at is_asked() once a turn, which costs one load, and gives a
// copy when it is: neither ever waits or takes a lock. Whoever asks, on any other thread, waits for it.
//
// `wake` is set after every question: an owner that clears it before it looks, as wait() does, misses none.
template <typename T>
class SnapshotDesk {
 public:
  // `wake` is what the owner sleeps on; clock and wake outlive the desk.
  SnapshotDesk(const Clock& clock, Wake& wake) : clock_(clock), wake_(wake) {}
  ~SnapshotDesk() { delete counter_.load(); }
  SnapshotDesk(const SnapshotDesk&) = delete;
  SnapshotDesk& operator=(const SnapshotDesk&) = delete;

  // The owner's side.
  bool is_asked() const noexcept { return asked_.load(std::memory_order_acquire); }
  void give(T figures) {
    asked_.store(false, std::memory_order_relaxed);
    delete counter_.exchange(new Given{std::move(figures), clock_.now()}, std::memory_order_acq_rel);
    given_.set();
  }

  // The others' side.
  struct Snapshot {
    std::shared_ptr<const T> figures;  // null: there never were any
    Duration age{};
  };
  // The owner is asked once in `fresh` at most, and waited for as long as `patience`. An owner that does not
  // answer (it is stuck, or gone) leaves the last figures, whose age tells.
  Snapshot look(Duration fresh = std::chrono::seconds(1), Duration patience = std::chrono::seconds(1)) {
    const std::lock_guard lock(mutex_);
    if (!last_ || clock_.now() - last_->at >= fresh) {
      given_.clear();
      asked_.store(true, std::memory_order_release);
      wake_.set();
      pollfd waiting{given_.fd(), POLLIN, 0};
      ::poll(&waiting, 1, static_cast<int>(patience / milliseconds(1)));
      if (Given* given = counter_.exchange(nullptr, std::memory_order_acq_rel)) last_.reset(given);
    }
    if (!last_) return {};
    return {{last_, &last_->figures}, clock_.now() - last_->at};
  }

 private:
  struct Given {
    T figures;
    TimePoint at;
  };

  const Clock& clock_;
  Wake& wake_;
  std::atomic<bool> asked_{false};
  std::atomic<Given*> counter_{nullptr};  // where it is put down and picked up
  Wake given_;
  std::mutex mutex_;  // of those who ask
  std::shared_ptr<Given> last_;
};

}  // namespace tandem
