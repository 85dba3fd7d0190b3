#include "broker/config.h"

#include <chrono>

#include "shared/base/limits.h"
#include "shared/base/places.h"

namespace tandem::broker {

using namespace std::chrono_literals;

BrokerConfig::BrokerConfig() {
  ports.submit = default_endpoint("submit");
  ports.work = default_endpoint("work");
  ports.results_in = default_endpoint("results-in");
  ports.results_out = default_endpoint("results-out");
  journal.folder = state_dir() / "journal";
}

Result<BrokerConfig> load_config(const ConfigSources& sources, std::string* printed) {
  TANDEM_ASSIGN(ConfigReader reader, ConfigReader::open(sources));
  BrokerConfig config;

  reader.key("broker.submit", config.ports.submit, "where clients send jobs: ipc://path or tcp://host:port");
  reader.key("broker.work", config.ports.work, "where workers ask for jobs");
  reader.key("broker.results_in", config.ports.results_in, "where workers send results");
  reader.key("broker.results_out", config.ports.results_out, "where clients hear results");

  SecurityConfig& security = config.ports.security;
  reader.key("security.secret_key_file", security.secret_key_file,
             "the broker's key, from `tandem keygen`; with it every tcp socket speaks CURVE");
  reader.key(
      "security.allow_file", security.allow_file,
      "who may connect over tcp: a line 'ROLE KEY NAME' for each key; looked at again when it changes");
  if (security.secret_key_file.empty() != security.allow_file.empty()) {
    reader.problem(security.allow_file.empty() ? "security.allow_file" : "security.secret_key_file",
                   "expected a file, as the other one of the two is given, found none");
  }

  DispatcherConfig& dispatcher = config.dispatcher;
  reader.key("broker.lease_ms", dispatcher.lease, {100ms, 1h},
             "a worker that does not renew a job for so long has lost it");
  reader.key("broker.heartbeat_ms", dispatcher.heartbeat, {10ms, 20min},
             "how often workers renew; three to a lease");
  reader.key("broker.attempts_max", dispatcher.attempts_max, {1, limits::kAttemptsMax},
             "leases before a job is given up, unless it says otherwise");
  reader.key("broker.backoff_ms", dispatcher.backoff, {0ms, 1h},
             "pause after a job's first failed attempt; doubles with every attempt");
  reader.key("broker.backoff_max_ms", dispatcher.backoff_max, {0ms, 24h}, "the longest such pause");
  reader.key("broker.restart_grace_ms", dispatcher.restart_grace, {0ms, 1h},
             "after a restart, old jobs wait so long for workers that still hold them");
  reader.key("broker.retention_s", dispatcher.retention, {0ms, 365 * 24h},
             "finished jobs and their results are kept so long");
  reader.choice("broker.log_level", config.log_level, {"debug", "info", "warn", "error", "off"},
                "debug tells the life of every job");

  reader.key("journal.folder", config.journal.folder,
             "the folder of the journal, made if missing; one broker each");
  reader.bytes("journal.bytes_max", config.journal.bytes_max, {1u << 20, 1ull << 44},
               "its largest size; may be raised between runs");
  reader.key("journal.watermark", config.turn.watermark, {0.01, 0.99},
             "new jobs are refused when this share is used; the rest is for results");

  reader.key("turn.messages_max", config.ports.turn_messages_max, {1, 1'000'000},
             "messages heard from each socket before they are written down together");
  reader.bytes("turn.bytes_max", config.ports.turn_bytes_max, {1, 1u << 30},
               "their bytes; one message may exceed it");
  reader.key("turn.sweep_jobs_max", dispatcher.sweep_jobs_max, {1, 1'000'000},
             "old jobs forgotten in one turn");

  ClientLimits& limits = dispatcher.limits;
  reader.key("limits.jobs_max", limits.jobs_max, {0, 1ull << 40},
             "jobs without an outcome that one client may have; 0: no limit");
  reader.bytes("limits.bytes_max", limits.bytes_max, {0, 1ull << 44},
               "bytes of their payloads together; 0: no limit");
  reader.bytes("limits.kept_bytes_max", limits.kept_bytes_max, {0, 1ull << 44},
               "bytes in the journal of its outcomes that it did not acknowledge; 0: no limit");
  reader.key("limits.jobs_per_second", limits.jobs_per_second, {0, 1e9},
             "jobs that one client may bring in the long run; 0: no limit");
  reader.key("limits.jobs_burst", limits.jobs_burst, {1, 1ull << 40},
             "jobs that it may bring at once after a pause, where there is such a limit");

  reader.key("metrics.listen", config.metrics.listen,
             "where Prometheus reads, such as 127.0.0.1:9464 (GET /metrics); empty: nowhere");
  reader.key("metrics.beyond_loopback", config.metrics.beyond_loopback,
             "whether other machines may read there, without a password");
  if (auto good = check_metrics(config.metrics); !good) reader.problem("metrics.listen", good.error().text);

  if (dispatcher.heartbeat * 3 > dispatcher.lease) {
    reader.problem("broker.heartbeat_ms", "expected a third of broker.lease_ms (" +
                                              format_duration(dispatcher.lease) + ") at most, found " +
                                              format_duration(dispatcher.heartbeat));
  }
  if (printed != nullptr) *printed = reader.print();
  TANDEM_TRY(reader.finish());
  return config;
}

}  // namespace tandem::broker
