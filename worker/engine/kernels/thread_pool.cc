#include "worker/engine/kernels/thread_pool.h"

#include <sched.h>

namespace tandem::engine {
namespace {

// A step has a few hundred operations with microseconds between them: looking for a moment is cheaper than a
// futex sleep and wake each time. Bounded, so that an idle or crowded machine is not kept busy.
constexpr int kLooksBeforeSleep = 2000;

void pause_core() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Returns when `value` is no longer `old`.
void wait_until_changed(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kLooksBeforeSleep; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause_core();
  }
  value.wait(old, std::memory_order_acquire);
}

// The calling thread, to the i-th of the cores it may run on; stays where it is when that cannot be.
void pin_to(size_t i) {
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return;
  const size_t n_cores = static_cast<size_t>(std::max(1, CPU_COUNT(&cores)));
  size_t n_before = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &cores) || n_before++ != i % n_cores) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    (void)::sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

}  // namespace

size_t n_usable_cores() {
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1, CPU_COUNT(&cores));
  return std::max(1u, std::thread::hardware_concurrency());  // more cores than cpu_set_t has bits
}

ThreadPool::ThreadPool(size_t n_threads, Pin pin) {
  if (n_threads == 0) n_threads = n_usable_cores();
  for (size_t thread = 1; thread < n_threads; ++thread) {
    threads_.emplace_back([this, thread, pin] {
      if (pin == Pin::kYes) pin_to(thread);
      work(thread);
    });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run_erased(size_t n_tasks, const void* body, Call call) {
  if (n_tasks <= 1 || threads_.empty()) {
    for (size_t task = 0; task < n_tasks; ++task) call(body, task, 0);
    return;
  }
  body_ = body;
  call_ = call;
  n_tasks_ = n_tasks;
  next_task_.store(0, std::memory_order_relaxed);
  n_working_.store(static_cast<uint32_t>(threads_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();

  do_tasks(0);
  // Every thread checks out of every operation, also one that came too late for a task: otherwise it could
  // read the next operation's fields while they are written.
  for (uint32_t n = n_working_.load(std::memory_order_acquire); n != 0;
       n = n_working_.load(std::memory_order_acquire)) {
    wait_until_changed(n_working_, n);
  }
}

void ThreadPool::work(size_t thread) {
  uint32_t seen = 0;
  for (;;) {
    wait_until_changed(epoch_, seen);
    ++seen;
    if (stop_.load(std::memory_order_relaxed)) return;
    do_tasks(thread);
    if (n_working_.fetch_sub(1, std::memory_order_acq_rel) == 1) n_working_.notify_one();
  }
}

void ThreadPool::do_tasks(size_t thread) {
  for (size_t task = next_task_.fetch_add(1, std::memory_order_relaxed); task < n_tasks_;
       task = next_task_.fetch_add(1, std::memory_order_relaxed)) {
    call_(body_, task, thread);
  }
}

}  // namespace tandem::engine
