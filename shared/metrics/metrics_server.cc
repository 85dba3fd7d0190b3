#include "shared/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "shared/net/endpoint.h"

namespace tandem {
namespace {

class Collector final : public prometheus::Collectable {
 public:
  explicit Collector(std::function<MetricPage()> collect) : collect_(std::move(collect)) {}
  std::vector<prometheus::MetricFamily> Collect() const override { return collect_().families(); }

 private:
  std::function<MetricPage()> collect_;
};

Result<Endpoint> endpoint_of(const MetricsConfig& config) {
  auto endpoint = parse_endpoint("tcp://" + config.listen);
  if (!endpoint || endpoint->host == "*") {
    return fail(ErrorCode::kInvalid,
                "expected an address and a port such as 127.0.0.1:9464, found '" + config.listen + "'");
  }
  if (endpoint->host == "localhost") endpoint->host = "127.0.0.1";
  if (!endpoint->is_local() && !config.beyond_loopback) {
    return fail(ErrorCode::kInvalid,
                "expected an address of this machine alone such as 127.0.0.1:9464, found '" + config.listen +
                    "'; metrics.beyond_loopback = true lets everybody read who can reach it");
  }
  return endpoint;
}

// Connects and goes away again. An address that is none of this machine's, or none at all, is let be.
void knock(const std::string& host, int port) {
  const bool is_v6 = host.find(':') != std::string::npos;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(static_cast<uint16_t>(port));
  const bool is_address =
      ::inet_pton(is_v6 ? AF_INET6 : AF_INET, host.c_str(),
                  is_v6 ? static_cast<void*>(&v6.sin6_addr) : static_cast<void*>(&v4.sin_addr)) == 1;
  if (!is_address) return;
  const int fd = ::socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const auto* const to =
      is_v6 ? reinterpret_cast<const sockaddr*>(&v6) : reinterpret_cast<const sockaddr*>(&v4);
  [[maybe_unused]] const int connected =
      ::connect(fd, to, static_cast<socklen_t>(is_v6 ? sizeof v6 : sizeof v4));
  ::close(fd);
}

std::string text_of(const Endpoint& endpoint, int port) {
  const bool is_v6 = endpoint.host.find(':') != std::string::npos;
  return (is_v6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(port);
}

}  // namespace

struct MetricsServer::Parts {
  Endpoint endpoint;
  std::shared_ptr<Collector> collector;
  std::unique_ptr<prometheus::Exposer> exposer;
};

Result<void> check_metrics(const MetricsConfig& config) {
  if (!config.listen.empty()) TANDEM_TRY(endpoint_of(config));
  return {};
}

Result<std::unique_ptr<MetricsServer>> MetricsServer::open(const MetricsConfig& config,
                                                           std::function<MetricPage()> collect) {
  if (config.listen.empty()) return nullptr;
  TANDEM_ASSIGN(Endpoint endpoint, endpoint_of(config));
  const std::string address = text_of(endpoint, endpoint.port);
  auto parts = std::make_unique<Parts>();
  parts->endpoint = std::move(endpoint);
  parts->collector = std::make_shared<Collector>(std::move(collect));
  try {
    parts->exposer = std::make_unique<prometheus::Exposer>(address);
    parts->exposer->RegisterCollectable(parts->collector);
  } catch (const std::exception&) {
    // The library does not tell why.
    return fail(ErrorCode::kIo,
                "metrics: cannot listen at " + address + ": in use, or no address of this machine");
  }
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(parts)));
}

MetricsServer::MetricsServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

// The library's listening thread looks whether it should end every two seconds, or when somebody comes: so
// somebody comes.
MetricsServer::~MetricsServer() {
  const std::string host = parts_->endpoint.host;
  const int port = parts_->exposer->GetListeningPorts().front();
  std::atomic<bool> has_ended{false};
  std::thread knocking([&] {
    for (; !has_ended; std::this_thread::sleep_for(std::chrono::milliseconds(5))) knock(host, port);
  });
  parts_->exposer.reset();
  has_ended = true;
  knocking.join();
}

std::string MetricsServer::address() const {
  return text_of(parts_->endpoint, parts_->exposer->GetListeningPorts().front());
}

}  // namespace tandem
