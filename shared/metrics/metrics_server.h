// GET /metrics over HTTP, for Prometheus.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "shared/base/result.h"
#include "shared/metrics/metric_page.h"

namespace tandem {

struct MetricsConfig {
  std::string listen;            // "127.0.0.1:9464", "[::1]:9464"; empty: no metrics
  bool beyond_loopback = false;  // may other machines read them? There is no password
};

// kInvalid says what was expected: an address and a port, on loopback unless more was asked for.
Result<void> check_metrics(const MetricsConfig& config);

// Any thread may hold it. Answers on two threads of its own, until it is destroyed.
class MetricsServer {
 public:
  // `collect` makes the page of a request, on the server's threads, several at a time perhaps. kIo: the
  // address cannot be listened at. Null when config.listen is empty.
  static Result<std::unique_ptr<MetricsServer>> open(const MetricsConfig& config,
                                                     std::function<MetricPage()> collect);
  ~MetricsServer();

  std::string address() const;  // with the port that the system chose if it was asked for port 0

 private:
  struct Parts;
  explicit MetricsServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace tandem
