#include "worker/engine/kernels/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <vector>

namespace tandem::engine {
namespace {

TEST(ThreadPoolTest, DoesEachTaskOnceAndReturnsWhenAllAreDone) {
  ThreadPool pool(3);
  EXPECT_EQ(pool.n_threads(), 3u);
  for (size_t n_tasks = 0; n_tasks < 200; ++n_tasks) {
    std::vector<int> done(n_tasks);  // not atomic: run() is what orders the threads
    pool.run(n_tasks, [&](size_t task, size_t thread) {
      EXPECT_LT(thread, 3u);
      ++done[task];
    });
    EXPECT_EQ(done, std::vector<int>(n_tasks, 1));
  }
}

// Threads that come late to one operation must not take tasks of the next.
TEST(ThreadPoolTest, KeepsOperationsApartThatFollowAtOnce) {
  ThreadPool pool(4);
  size_t sum = 0;
  for (size_t round = 0; round < 5000; ++round) {
    std::vector<size_t> values(4);
    pool.run(4, [&](size_t task, size_t) { values[task] = round; });
    for (const size_t value : values) sum += value;
  }
  EXPECT_EQ(sum, 4u * 4999 * 5000 / 2);
}

TEST(ThreadPoolTest, SplitsARangeWithoutGapsAndNotTooSmall) {
  ThreadPool pool(4);
  for (const size_t n : {0, 1, 5, 8, 9, 100}) {
    std::vector<int> seen(n);
    std::atomic<size_t> n_slices = 0;
    pool.split(n, 4, [&](size_t begin, size_t end) {
      ++n_slices;
      for (size_t i = begin; i < end; ++i) ++seen[i];
    });
    EXPECT_EQ(seen, std::vector<int>(n, 1));
    EXPECT_LE(n_slices, std::max<size_t>(1, n / 4));
  }
}

TEST(ThreadPoolTest, WorksWithOnlyTheCaller) {
  ThreadPool pool(1);
  size_t n = 0;
  pool.run(10, [&](size_t, size_t thread) { n += 1 + thread; });
  EXPECT_EQ(n, 10u);
  EXPECT_GE(ThreadPool(0).n_threads(), 1u);
}

std::vector<int> cores_of_this_thread() {
  cpu_set_t set;
  EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

// More threads than cores: they share again from the first core on.
TEST(ThreadPoolTest, PinsItsThreadsToOneCoreEachAndLeavesTheCallerAlone) {
  const std::vector<int> usable = cores_of_this_thread();
  const size_t n_threads = usable.size() + 2;
  for (const bool pin : {false, true}) {
    ThreadPool pool(n_threads, pin ? ThreadPool::Pin::kYes : ThreadPool::Pin::kNo);
    std::vector<std::vector<int>> cores(n_threads);
    std::atomic<size_t> n_here = 0;
    pool.run(n_threads, [&](size_t, size_t thread) {
      cores[thread] = cores_of_this_thread();
      ++n_here;
      while (n_here < n_threads) std::this_thread::yield();  // so that each thread gets a task
    });
    for (size_t i = 0; i < n_threads; ++i) {
      EXPECT_EQ(cores[i], pin && i > 0 ? std::vector<int>{usable[i % usable.size()]} : usable) << i;
    }
  }
}

}  // namespace
}  // namespace tandem::engine
