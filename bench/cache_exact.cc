// The exact answer cache by itself. Ceiling for the look-ups: bare reads of the same records from the same
// store.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>

#include "bench/cache_parts.h"
#include "shared/base/assert.h"
#include "shared/store/environment.h"
#include "tests/support/temp_dir.h"
#include "worker/cache/answer_cache.h"

namespace tandem::bench {
namespace {

using Seconds = std::chrono::duration<double>;

// A label with its scores: what the shipped sentiment tasks keep.
TaskResult some_answer() {
  TaskResult result;
  result.task = "sentiment-zh";
  result.label = LabelAnswer{"positive", "😄 正面", 0.93, 0.86, {{"positive", 0.93}, {"negative", 0.07}}, ""};
  result.usage = {60, 40, 20, 0};
  result.timings = {150, 42'000, 0, 43'000};
  result.task_version = 1;
  result.task_fingerprint = result.model_fingerprint = std::string(32, 'f');
  result.batch_size = 8;
  result.worker = "worker-1";
  return result;
}

Hash128 key_of(uint64_t number) {
  return HashBuilder().add(number).finish();
}

// Calls `act(i)` until `seconds` are over, at least once for each; the calls per second.
template <typename Act>
double rate(double seconds, Act&& act) {
  const auto begin = std::chrono::steady_clock::now();
  uint64_t n = 0;
  double passed = 0;
  do {
    for (int i = 0; i < 64; ++i) act(n++);
    passed = Seconds(std::chrono::steady_clock::now() - begin).count();
  } while (passed < seconds);
  return static_cast<double>(n) / passed;
}

// The 99th percentile of a hundred thousand calls.
template <typename Act>
double slowest_of_a_hundred_us(Act&& act) {
  std::vector<double> times_us(100'000);
  for (double& time_us : times_us) {
    const auto begin = std::chrono::steady_clock::now();
    act();
    time_us = 1e6 * Seconds(std::chrono::steady_clock::now() - begin).count();
  }
  const auto at = times_us.begin() + static_cast<std::ptrdiff_t>(times_us.size() * 99 / 100);
  std::nth_element(times_us.begin(), at, times_us.end());
  return *at;
}

// LMDB's own speed, as the cache uses it: a transaction for each read.
double bare_reads(const std::filesystem::path& folder, uint64_t n_entries, double seconds) {
  EnvironmentOptions options;
  options.durable = false;
  options.exclusive = false;
  auto environment = Environment::open(folder, options);
  TANDEM_ASSERT(environment, "the store that the cache wrote opens again");
  auto answers = environment->table("answers");
  TANDEM_ASSERT(answers, "the cache made its tables");
  std::mt19937_64 random(1);
  return rate(seconds, [&](uint64_t) {
    const Hash128 key = key_of(random() % n_entries);
    const auto transaction = environment->read();
    const auto found = answers->get(*transaction, view_of(key.bytes));
    TANDEM_ASSERT(found && *found, "every answer is there");
  });
}

void measure(uint64_t n_entries, double seconds, Report& report) {
  const testing::TempDir folder;
  AnswerCacheOptions options;
  options.folder = folder.path();
  options.bytes_max = n_entries * 4096;  // nothing is evicted
  const SystemClock clock;
  auto opened = AnswerCache::open(options, clock);
  TANDEM_ASSERT(opened, "a temporary folder takes a cache");
  AnswerCache& cache = **opened;
  const TaskResult answer = some_answer();
  const std::string size = fmt::format("{} answers", n_entries);
  const std::string suffix = n_entries == 1'000'000 ? "" : fmt::format(".{}", n_entries);

  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < n_entries; ++i) {
    TANDEM_ASSERT(cache.store(key_of(i), answer, std::chrono::seconds(0)), "stores do not fail");
    if (i % 1000 == 999) TANDEM_ASSERT(cache.flush(), "there is room");
  }
  TANDEM_ASSERT(cache.settle(), "there is room");
  const double stores =
      static_cast<double>(n_entries) / Seconds(std::chrono::steady_clock::now() - begin).count();

  std::mt19937_64 random(1);
  const double hits = rate(seconds, [&](uint64_t) {
    const auto found = cache.find(key_of(random() % n_entries));
    TANDEM_ASSERT(found && *found, "every answer is there");
  });
  const double p99_us = slowest_of_a_hundred_us([&] {
    const auto found = cache.find(key_of(random() % n_entries));
    TANDEM_ASSERT(found && *found, "every answer is there");
  });
  const double misses = rate(seconds, [&](uint64_t) {
    const auto found = cache.find(key_of(n_entries + random() % n_entries));
    TANDEM_ASSERT(found && !*found, "these keys were never stored");
  });
  TANDEM_ASSERT(cache.settle(), "there is room");

  // The same environment cannot be opened twice in one process.
  opened->reset();
  const double bare = bare_reads(folder.path(), n_entries, seconds);
  report.add({"cache.exact.lookup" + suffix, hits, "1/s", hits / bare, size + ", each noted as used"});
  report.add({"cache.exact.lookup.p99" + suffix, p99_us, "us", std::nullopt, size + ", one at a time"});
  report.add({"cache.exact.miss" + suffix, misses, "1/s", misses / bare, size});
  report.add({"cache.exact.store" + suffix, stores, "1/s", std::nullopt, size + ", in batches of 1000"});
  report.add({"ceiling.store.read" + suffix, bare, "1/s", std::nullopt, "bare reads of the same store"});
}

}  // namespace

void measure_exact(bool quick, Report& report) {
  const std::vector<uint64_t> sizes =
      quick ? std::vector<uint64_t>{1000} : std::vector<uint64_t>{10'000, 100'000, 1'000'000};
  for (const uint64_t n_entries : sizes) measure(n_entries, quick ? 0.05 : 3, report);
}

}  // namespace tandem::bench
