#include "worker/config.h"

#include <unistd.h>

#include "shared/base/limits.h"
#include "shared/base/shipped_files.h"

namespace tandem {

using std::chrono::hours;

Result<WorkerConfig> load_worker_config(const ConfigSources& sources, std::string* printed) {
  TANDEM_ASSIGN(auto reader, ConfigReader::open(sources));
  WorkerConfig config;
  reader.key("worker.name", config.name,
             "unique among the workers of a broker; empty: host and process number");
  reader.key("worker.host", config.host,
             "jobs with the same text go to the same host, whose caches know it; empty: the machine's name");
  reader.key("worker.work", config.work_endpoint, "the broker's socket for workers");
  reader.key("worker.results", config.results_endpoint, "the broker's socket for results");
  reader.key("worker.drain", config.drain, {milliseconds(0), hours(1)},
             "on SIGTERM, so long to finish the jobs that are begun; the others are given back at once");
  reader.choice("worker.log_level", config.log_level, {"debug", "info", "warn", "error", "off"},
                "what is logged to standard error");
  reader.key("security.key_file", config.key_file, "for tcp: this worker's key, from `tandem keygen`");
  reader.key("security.server_key", config.server_key, "for tcp: the broker's public key, or a file with it");
  reader.key("model.folder", config.model,
             "a Hugging Face folder (Qwen2 or Qwen3 architecture); empty: the demonstration model");
  reader.key("tasks.folder", config.tasks, "task files; empty: those that come with Tandem");
  reader.key("cache.enabled", config.cache, "answers, and what prompts begin with, are kept and found again");
  reader.key("cache.folder", config.cache_folder, "shared by all workers of this host");
  reader.bytes("cache.bytes", config.cache_bytes, {1 << 20, 1ull << 40},
               "upper limit; the least recently used answers go first");
  reader.bytes("cache.prefix_bytes", config.prefix_bytes, {0, 1ull << 44},
               "upper limit for keys and values of what prompts begin with, kept on disk; 0: in memory only");
  reader.key("engine.threads", config.threads, {0, 1024}, "that compute; 0: one for each core");
  reader.key("engine.pin", config.pin, "all but the first of these threads stay on a core of their own");
  reader.choice("engine.compute", config.compute, {"f32", "bf16", "q8"},
                "how weights are kept and multiplied: q8 is fastest, bf16 exact for most checkpoints");
  reader.choice("engine.kv", config.kv, {"f16", "f32"},
                "how keys and values are kept: f16 in half the memory");
  reader.key(
      "engine.packed_folder", config.packed_folder,
      "packed weights are kept here, for the next start and for other workers of this host; empty: nowhere");
  reader.bytes(
      "engine.kv_bytes", config.kv_bytes, {1 << 16, 1ull << 44},
      "memory for keys and values; how many sequences run, and how many jobs are taken, follows from it");
  reader.key("engine.batch_tokens_max", config.batch_tokens_max, {1, 65'536},
             "tokens of one step: larger is faster for long prompts, smaller is smoother for those who wait");
  reader.key("engine.sequences_max", config.sequences_max, {1, 1024},
             "running side by side, if the memory for keys and values allows it");
  reader.key("metrics.listen", config.metrics.listen,
             "where Prometheus reads, such as 127.0.0.1:9465 (GET /metrics); empty: nowhere");
  reader.key("metrics.beyond_loopback", config.metrics.beyond_loopback,
             "whether other machines may read there, without a password");
  if (auto good = check_metrics(config.metrics); !good) reader.problem("metrics.listen", good.error().text);
  if (config.host.size() > limits::kNameBytesMax) {
    reader.problem("worker.host", "expected up to " + std::to_string(limits::kNameBytesMax) +
                                      " bytes, found " + std::to_string(config.host.size()));
  }
  if (config.name.find('/') != std::string::npos || config.name.size() > limits::kNameBytesMax) {
    reader.problem("worker.name", "expected up to " + std::to_string(limits::kNameBytesMax) +
                                      " bytes without '/', found '" + config.name + "'");
  }
  if (printed != nullptr) *printed = reader.print();
  TANDEM_TRY(reader.finish());
  return config;
}

Result<void> complete(WorkerConfig& config) {
  TANDEM_ASSIGN(config.keys, load_client_keys(config.key_file, config.server_key));
  if (config.host.empty()) config.host = host_name();
  if (config.name.empty()) {
    config.name = (config.keys ? config.keys->own.name : host_name()) + "-" + std::to_string(::getpid());
  }
  if (config.model.empty()) {
    TANDEM_ASSIGN(config.model, shipped_file("models/tandem-demo"));
  }
  if (config.tasks.empty()) {
    TANDEM_ASSIGN(config.tasks, shipped_file("tasks"));
  }
  return {};
}

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == 0) return "localhost";
  return name;
}

}  // namespace tandem
