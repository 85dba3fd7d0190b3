// Tokens per second of the engine at the shape of Qwen1.5-0.5B, beside what the machine can do.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <optional>

#include "bench/ceilings.h"
#include "bench/engine_parts.h"
#include "bench/report.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/model/model.h"
#include "worker/engine/model/random_model.h"

namespace tandem::bench {
namespace {

using engine::ComputeType;
using engine::Model;
using std::chrono::duration;

struct Options {
  std::string json_path;
  std::filesystem::path model;
  size_t n_threads = 0;
  bool quick = false;
  bool ceilings_only = false;
  std::vector<ComputeType> types = {ComputeType::kF32, ComputeType::kBf16, ComputeType::kQ8};
};

// A folder of this run's own, removed after it.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name)
      : path_(std::filesystem::temp_directory_path() /
              ("tandem-bench-" + std::to_string(::getpid()) + "-" + name)) {}
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

void report_ceilings(const Options& options, Report& report) {
  const duration<double> time(options.quick ? 0.01 : 0.5);
  const size_t n_threads = options.n_threads;
  const std::string on = ", " + std::to_string(n_threads) + " threads";
  const Ceiling fma = measure_fma(n_threads, time);
  report.add({"ceiling.fma", fma.per_second * 1e-9, "GFLOP/s", std::nullopt, std::string(fma.with) + on});
  if (const std::optional<Ceiling> int8 = measure_int8(n_threads, time)) {
    report.add(
        {"ceiling.int8", int8->per_second * 1e-9, "Gop/s", std::nullopt, std::string(int8->with) + on});
  }
  const Ceiling bandwidth = measure_bandwidth(n_threads, options.quick ? 16u << 20 : 1u << 30);
  report.add({"ceiling.bandwidth", bandwidth.per_second * 1e-9, "GB/s", std::nullopt,
              std::string(bandwidth.with) + on});
}

Result<void> run(const Options& options) {
  Report report;
  report_ceilings(options, report);
  if (options.ceilings_only) return report.write_json(options.json_path);

  const TemporaryFolder temporary("model");
  const std::filesystem::path folder = options.model.empty() ? temporary.path() : options.model;
  std::error_code ignored;
  const bool is_new = !std::filesystem::exists(folder, ignored) || std::filesystem::is_empty(folder, ignored);
  if (is_new) {
    TANDEM_TRY(engine::write_random_model(options.quick ? "qwen2-tiny" : "qwen1.5-0.5b", 1, folder));
  }
  TemporaryFolder packed("packed");
  EngineOptions parts = {
      .model = folder, .packed_folder = packed.path(), .n_threads = options.n_threads, .n_rounds = 7};
  if (options.quick) {
    parts.n_rounds = 1;
    parts.ceiling_time = std::chrono::milliseconds(5);
    parts.ceiling_bytes = 16u << 20;
  }
  for (const ComputeType type : options.types) {
    TANDEM_TRY(measure_start(type, parts, report));
    TANDEM_ASSIGN(const std::unique_ptr<Model> model, Model::load(folder, {.n_threads = options.n_threads,
                                                                           .compute = type,
                                                                           .kv = engine::KvType::kF16,
                                                                           .packed_folder = packed.path()}));
    measure_products(model->config(), type, parts, report);
    TANDEM_TRY(measure_steps(*model, parts, report));
    TANDEM_TRY(measure_jobs(*model, parts, report));
  }
  return report.write_json(options.json_path);
}

}  // namespace
}  // namespace tandem::bench

int main(int argc, char** argv) {
  tandem::bench::Options options;
  CLI::App app(
      "Measures the engine: ceilings of this machine, prefill and decode at the Qwen1.5-0.5B shape.");
  app.add_option("--json", options.json_path, "write the rows to this file, too");
  app.add_option(
      "--model", options.model,
      "model folder or GGUF file to measure; a folder that is not there, or empty, is made with random "
      "weights (1.2 GB) and kept. Without it, a temporary one is made and removed");
  app.add_option("--threads", options.n_threads, "compute threads; default: one for each core")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--quick", options.quick,
               "a tiny model and short times: shows that it works, measures nothing");
  app.add_flag("--ceilings", options.ceilings_only, "only the ceilings");
  std::vector<std::string> types;
  app.add_option("--types", types, "compute types to measure; default: all")
      ->delimiter(',')
      ->check(CLI::IsMember({"f32", "bf16", "q8"}));
  CLI11_PARSE(app, argc, argv);
  if (!types.empty()) {
    std::erase_if(options.types, [&](tandem::engine::ComputeType type) {
      return std::find(types.begin(), types.end(), name_of(type)) == types.end();
    });
  }
  if (options.n_threads == 0) options.n_threads = tandem::engine::n_usable_cores();

  if (const auto done = tandem::bench::run(options); !done) {
    std::fprintf(stderr, "bench_engine: %s\n", done.error().text.c_str());
    return 1;
  }
  return 0;
}
