// Tokens per second of the engine at the shape of Qwen1.5-0.5B, beside what the machine can do.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include "bench/ceilings.h"
#include "bench/report.h"
#include "shared/base/assert.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/model/model.h"
#include "worker/engine/model/random_model.h"

namespace tandem::bench {
namespace {

using engine::BatchRow;
using engine::ComputeType;
using engine::KvCache;
using engine::KvSequence;
using engine::Logits;
using engine::Model;
using engine::TokenId;
using std::chrono::duration;
using std::chrono::steady_clock;

constexpr size_t kDecodeContext = 64;  // tokens in each sequence before decoding begins

struct Options {
  std::string json_path;
  std::filesystem::path model;
  size_t n_threads = 0;
  bool quick = false;
  bool ceilings_only = false;
  std::vector<ComputeType> types = {ComputeType::kF32, ComputeType::kBf16, ComputeType::kQ8};
};

struct Ceilings {
  double fma = 0, int8 = 0, bandwidth = 0;
};

// A folder made for this run and removed after it.
class ModelFolder {
 public:
  explicit ModelFolder(std::filesystem::path kept) : path_(std::move(kept)), is_temporary_(path_.empty()) {
    if (is_temporary_) {
      path_ = std::filesystem::temp_directory_path() / ("tandem-bench-" + std::to_string(::getpid()));
    }
  }
  ~ModelFolder() {
    std::error_code ignored;
    if (is_temporary_) std::filesystem::remove_all(path_, ignored);
  }
  ModelFolder(const ModelFolder&) = delete;
  ModelFolder& operator=(const ModelFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool is_temporary_;
};

double median_seconds(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

// The least time that a step can take: all multiply-adds of the weights at the ceiling of their type, or all
// weights read once at the memory's, whichever is longer.
class Roofline {
 public:
  Roofline(const Model& model, const Ceilings& ceilings) : ceilings_(ceilings) {
    const engine::ModelConfig& config = model.config();
    if (model.compute() == ComputeType::kQ8 && ceilings.int8 > 0) ceilings_.fma = ceilings.int8;
    weight_bytes_ = static_cast<double>(engine::PackedMatrix::block_bytes(model.compute())) /
                    (engine::kBlockInputs * engine::kPanelOutputs);
    const double d_q = static_cast<double>(config.n_heads * config.d_head);
    const double d_kv = static_cast<double>(config.n_kv_heads * config.d_head);
    const double d_model = static_cast<double>(config.d_model), d_ff = static_cast<double>(config.d_ff);
    layer_weights_ = static_cast<double>(config.n_layers) * d_model * (2 * d_q + 2 * d_kv + 3 * d_ff);
    head_weights_ = static_cast<double>(config.n_vocab) * d_model;
  }
  double share(size_t n_tokens, size_t n_logits, double seconds) const {
    const double n_operations =
        2 * (layer_weights_ * static_cast<double>(n_tokens) + head_weights_ * static_cast<double>(n_logits));
    const double n_bytes = (layer_weights_ + head_weights_) * weight_bytes_;
    return std::max(n_operations / ceilings_.fma, n_bytes / ceilings_.bandwidth) / seconds;
  }

 private:
  Ceilings ceilings_;
  double layer_weights_ = 0, head_weights_ = 0, weight_bytes_ = 0;
};

class EngineBench {
 public:
  EngineBench(Model& model, KvCache& kv, const Ceilings& ceilings, size_t n_rounds, Report& report)
      : model_(model), kv_(kv), roofline_(model, ceilings), n_rounds_(n_rounds), report_(report) {}

  void prefill(size_t n_tokens) {
    std::vector<double> seconds;
    for (size_t i = 0; i < n_rounds_; ++i) {
      KvSequence sequence = kv_.make_sequence();
      seconds.push_back(step(std::span(&sequence, 1), n_tokens));
    }
    add_row("prefill." + type() + "." + std::to_string(n_tokens), n_tokens, 1, median_seconds(seconds));
  }

  void decode(size_t n_sequences) {
    std::vector<KvSequence> sequences;
    for (size_t i = 0; i < n_sequences; ++i) {
      sequences.push_back(kv_.make_sequence());
      step(std::span(&sequences.back(), 1), kDecodeContext);
    }
    std::vector<double> seconds;
    for (size_t i = 0; i < n_rounds_ * 4; ++i) seconds.push_back(step(sequences, 1));
    add_row("decode." + type() + "." + std::to_string(n_sequences), n_sequences, n_sequences,
            median_seconds(seconds));
  }

 private:
  std::string type() const { return std::string(engine::name_of(model_.compute())); }

  // Seconds for one forward() of n_tokens in each sequence.
  double step(std::span<KvSequence> sequences, size_t n_tokens) {
    tokens_.resize(n_tokens);
    for (TokenId& token : tokens_) token = static_cast<TokenId>(next_token_++ % model_.config().n_vocab);
    std::vector<BatchRow> batch;
    for (KvSequence& sequence : sequences) {
      TANDEM_ASSERT(kv_.reserve(sequence, n_tokens), "the cache was made large enough");
      batch.push_back({&sequence, tokens_, 1});
    }
    const steady_clock::time_point begin = steady_clock::now();
    model_.forward(batch, kv_, logits_);
    return duration<double>(steady_clock::now() - begin).count();
  }

  void add_row(const std::string& name, size_t n_tokens, size_t n_logits, double seconds) {
    report_.add({name, static_cast<double>(n_tokens) / seconds, "tokens/s",
                 roofline_.share(n_tokens, n_logits, seconds),
                 model_.compute() == ComputeType::kQ8 ? "of int8 peak or bandwidth, whichever binds"
                                                      : "of FMA peak or bandwidth, whichever binds"});
  }

  Model& model_;
  KvCache& kv_;
  Roofline roofline_;
  size_t n_rounds_;
  Report& report_;
  std::vector<TokenId> tokens_;
  size_t next_token_ = 1;
  Logits logits_;
};

Ceilings measure_ceilings(const Options& options, Report& report) {
  const duration<double> time(options.quick ? 0.01 : 0.5);
  const size_t n_threads = options.n_threads;
  const std::string on = ", " + std::to_string(n_threads) + " threads";
  const Ceiling fma = measure_fma(n_threads, time);
  report.add({"ceiling.fma", fma.per_second * 1e-9, "GFLOP/s", std::nullopt, std::string(fma.with) + on});
  double int8_per_second = 0;
  if (const std::optional<Ceiling> int8 = measure_int8(n_threads, time)) {
    int8_per_second = int8->per_second;
    report.add(
        {"ceiling.int8", int8->per_second * 1e-9, "Gop/s", std::nullopt, std::string(int8->with) + on});
  }
  const Ceiling bandwidth = measure_bandwidth(n_threads, options.quick ? 16u << 20 : 1u << 30);
  report.add({"ceiling.bandwidth", bandwidth.per_second * 1e-9, "GB/s", std::nullopt,
              std::string(bandwidth.with) + on});
  return {fma.per_second, int8_per_second, bandwidth.per_second};
}

Result<void> run(const Options& options) {
  Report report;
  const Ceilings ceilings = measure_ceilings(options, report);
  if (options.ceilings_only) return report.write_json(options.json_path);

  const ModelFolder folder(options.model);
  if (!std::filesystem::exists(folder.path() / "config.json")) {
    TANDEM_TRY(engine::write_random_model(options.quick ? "qwen2-tiny" : "qwen1.5-0.5b", 1, folder.path()));
  }
  for (const ComputeType type : options.types) {
    TANDEM_ASSIGN(const std::unique_ptr<Model> model,
                  Model::load(folder.path(), {.n_threads = options.n_threads, .compute = type}));
    TANDEM_ASSIGN(KvCache kv, KvCache::create(model->kv_shape(), 128));
    EngineBench bench(*model, kv, ceilings, options.quick ? 1 : 5, report);
    bench.prefill(64);
    bench.prefill(512);
    bench.decode(1);
    bench.decode(16);
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
  app.add_option("--model", options.model,
                 "model folder to measure; made with random weights (1.2 GB) and kept if it is not there. "
                 "Without it, a temporary one is made and removed");
  app.add_option("--threads", options.n_threads, "compute threads; default: one for each core");
  app.add_flag("--quick", options.quick,
               "a tiny model and short times: shows that it works, measures nothing");
  app.add_flag("--ceilings", options.ceilings_only, "only the ceilings");
  const std::map<std::string, tandem::engine::ComputeType> types = {
      {"f32", tandem::engine::ComputeType::kF32},
      {"bf16", tandem::engine::ComputeType::kBf16},
      {"q8", tandem::engine::ComputeType::kQ8}};
  app.add_option("--types", options.types, "compute types to measure; default: all")
      ->delimiter(',')
      ->transform(CLI::CheckedTransformer(types));
  CLI11_PARSE(app, argc, argv);
  if (options.n_threads == 0) options.n_threads = tandem::engine::n_usable_cores();

  if (const auto done = tandem::bench::run(options); !done) {
    std::fprintf(stderr, "bench_engine: %s\n", done.error().text.c_str());
    return 1;
  }
  return 0;
}
