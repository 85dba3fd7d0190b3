#include "bench/queue_ceilings.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "bench/median.h"
#include "bench/must.h"
#include "shared/store/environment.h"
#include "shared/store/table.h"
#include "shared/store/transaction.h"
#include "tests/support/temp_dir.h"

namespace tandem::bench {

double bare_facts_per_second(size_t n_facts, Seconds time) {
  const testing::TempDir folder;
  EnvironmentOptions options;
  options.map_bytes = 16ull << 30;
  auto store = must(Environment::open(folder / "store", options));
  auto table = must(store.table("facts"));
  const std::string value(kPayloadBytes + 64, 'v');
  const auto begin = std::chrono::steady_clock::now();
  uint64_t key = 0;
  while (seconds_since(begin) < time.count()) {
    auto transaction = must(store.write());
    for (size_t i = 0; i < n_facts; ++i) {
      TANDEM_ASSERT(table.put_append(transaction, number_key(++key), value), "the store has room");
    }
    TANDEM_ASSERT(transaction.commit(), "the disk has room");
  }
  return static_cast<double>(key) / seconds_since(begin);
}

double bare_sync_us(Seconds time) {
  const testing::TempDir folder;
  const int file = ::open((folder / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  const std::string value(kPayloadBytes, 'v');
  std::vector<double> times_us;
  const auto begin = std::chrono::steady_clock::now();
  do {
    times_us.push_back(1e6 * seconds_of([&] {
                         TANDEM_ASSERT(::write(file, value.data(), value.size()) ==
                                               static_cast<ssize_t>(value.size()) &&
                                           ::fdatasync(file) == 0,
                                       "the disk has room");
                       }));
  } while (seconds_since(begin) < time.count());
  ::close(file);
  return median(std::move(times_us));
}

}  // namespace tandem::bench
