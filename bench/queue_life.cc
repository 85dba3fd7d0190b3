#include "bench/queue_life.h"

#include <algorithm>
#include <vector>

#include "bench/process_figures.h"

namespace tandem::bench {
namespace {

using Steady = std::chrono::steady_clock;
constexpr Seconds kSilenceMax{20};

tl::unexpected<Error> silent() {
  return fail(ErrorCode::kTimeout, "expected outcomes of the jobs that are outstanding, found none for 20 s");
}

double percentile(std::vector<double>& sorted, double part) {
  return sorted.empty() ? 0 : sorted[static_cast<size_t>(part * static_cast<double>(sorted.size() - 1))];
}

}  // namespace

Result<Life> keep_flowing(RunningQueue& queue, Seconds time) {
  const double cpu_before = cpu_us(queue.server());
  const uint64_t written_before = written_bytes(queue.server());
  const auto begin = Steady::now();
  auto heard_at = begin;
  std::vector<double> lives_us;  // those of the job just submitted, if it is alone
  size_t n_done = 0;
  while (seconds_since(begin) < time.count()) {
    const size_t n_heard = queue.hear();
    if (n_heard == 0) {
      if (seconds_since(heard_at) > kSilenceMax.count()) return silent();
      continue;
    }
    const auto now = Steady::now();
    lives_us.push_back(Seconds(now - heard_at).count() * 1e6);
    heard_at = now;
    n_done += n_heard;
    queue.submit(n_heard);
  }

  Life life;
  const double n_jobs = static_cast<double>(std::max<size_t>(n_done, 1));
  life.rate = static_cast<double>(n_done) / seconds_since(begin);
  life.cpu_us = (cpu_us(queue.server()) - cpu_before) / n_jobs;
  life.written_bytes = static_cast<double>(written_bytes(queue.server()) - written_before) / n_jobs;
  std::sort(lives_us.begin(), lives_us.end());
  life.p50_us = percentile(lives_us, 0.5);
  life.p99_us = percentile(lives_us, 0.99);
  return life;
}

Result<Life> live(RunningQueue& queue, size_t n_outstanding, Seconds time) {
  queue.submit(n_outstanding);
  TANDEM_TRY(keep_flowing(queue, time / 5));
  TANDEM_ASSIGN(const Life life, keep_flowing(queue, time));
  auto heard_at = Steady::now();
  for (size_t n_left = n_outstanding; n_left > 0;) {
    const size_t n_heard = queue.hear();
    if (n_heard > 0) heard_at = Steady::now();
    if (seconds_since(heard_at) > kSilenceMax.count()) return silent();
    n_left -= std::min(n_left, n_heard);
  }
  return life;
}

}  // namespace tandem::bench
