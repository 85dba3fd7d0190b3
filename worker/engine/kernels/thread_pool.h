// The engine's own few threads: they split one operation and meet again at its end.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace tandem::engine {

// Cores this process may run on (its affinity mask), at least 1.
size_t n_usable_cores();

// n_threads - 1 threads that sleep between operations, and the caller's own. run() belongs to one thread at a
// time and must not be nested. Bodies must not throw.
class ThreadPool {
 public:
  enum class Pin { kNo, kYes };

  // n_threads 0: n_usable_cores(). When pinned, thread i stays on the i-th core that this process may use:
  // for machines that do nothing else. Callers of run() are left alone; the first core is theirs.
  explicit ThreadPool(size_t n_threads, Pin pin = Pin::kNo);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t n_threads() const { return threads_.size() + 1; }

  // Calls body(task, thread) once for each task in [0, n_tasks), with thread in [0, n_threads()), and returns
  // when all are done. Which thread gets which task is not fixed; one task runs on the caller without waking
  // anybody.
  template <typename Body>
  void run(size_t n_tasks, const Body& body) {
    run_erased(n_tasks, &body, [](const void* erased, size_t task, size_t thread) {
      (*static_cast<const Body*>(erased))(task, thread);
    });
  }

  // Calls body(begin, end) on slices of [0, n), of at least `n_slice_min`, at most one for each thread.
  template <typename Body>
  void split(size_t n, size_t n_slice_min, const Body& body) {
    const size_t n_slices = std::clamp<size_t>(n / std::max<size_t>(n_slice_min, 1), 1, n_threads());
    run(n_slices, [&](size_t i, size_t) { body(n * i / n_slices, n * (i + 1) / n_slices); });
  }

 private:
  using Call = void (*)(const void* body, size_t task, size_t thread);
  void run_erased(size_t n_tasks, const void* body, Call call);
  void work(size_t thread);
  void do_tasks(size_t thread);

  std::vector<std::thread> threads_;
  // The operation under way; written by run() before the epoch moves on, read by the threads after it.
  const void* body_ = nullptr;
  Call call_ = nullptr;
  size_t n_tasks_ = 0;
  std::atomic<size_t> next_task_{0};
  std::atomic<uint32_t> epoch_{0};
  std::atomic<uint32_t> n_working_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace tandem::engine
