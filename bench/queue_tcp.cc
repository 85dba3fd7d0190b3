#include <vector>

#include "bench/median.h"
#include "bench/queue_client.h"
#include "bench/queue_parts.h"

namespace tandem::bench {
namespace {

Result<double> rate_over(BrokerOptions::Transport transport, Seconds time) {
  TANDEM_ASSIGN(const auto queue, start_tandem({transport}));
  TANDEM_ASSIGN(const Life life, live(*queue, 1000, time));
  return life.rate;
}

}  // namespace

Result<void> measure_tcp(const QueueOptions& options, Report& report) {
  std::vector<double> plain, curve, share;
  for (size_t i = 0; i < options.n_rounds; ++i) {
    TANDEM_ASSIGN(const double rate, rate_over(BrokerOptions::Transport::kTcp, options.seconds));
    TANDEM_ASSIGN(const double rate_with_keys, rate_over(BrokerOptions::Transport::kCurve, options.seconds));
    plain.push_back(rate);
    curve.push_back(rate_with_keys);
    share.push_back(rate_with_keys / rate);
  }
  report.add({"queue.tcp.1000", median(plain), "jobs/s", std::nullopt, "as queue.life.1000, over loopback"});
  report.add({"queue.curve", median(curve), "jobs/s", median(share), "with keys; of queue.tcp.1000"});
  return {};
}

}  // namespace tandem::bench
