#include <vector>

#include "bench/median.h"
#include "bench/queue_client.h"
#include "bench/queue_parts.h"

namespace tandem::bench {

Result<void> measure_tcp(const QueueOptions& options, Report& report) {
  std::vector<double> plain;
  for (size_t i = 0; i < options.n_rounds; ++i) {
    TANDEM_ASSIGN(const auto queue, start_tandem({BrokerOptions::Transport::kTcp}));
    TANDEM_ASSIGN(const Life life, live(*queue, 1000, options.seconds));
    plain.push_back(life.rate);
  }
  report.add({"queue.tcp.1000", median(plain), "jobs/s", std::nullopt, "as queue.life.1000, over loopback"});
  return {};
}

}  // namespace tandem::bench
