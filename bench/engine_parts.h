// What bench_engine measures, a part each: the matrix products alone, steps of the model, whole jobs, the
// start.

#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "bench/report.h"
#include "shared/base/result.h"
#include "worker/engine/model/model.h"

namespace tandem::bench {

// What this machine can do, per second, as it was while something was measured: the mean of before and after.
// On a machine that others use, too, a ceiling from the beginning of the run says little about its end.
struct Ceilings {
  double fma = 0, int8 = 0, bandwidth = 0;

  // Operations of a product with weights of that type. Without instructions for 8-bit integers: the FMA peak.
  double operations(engine::ComputeType type) const {
    return type == engine::ComputeType::kQ8 && int8 > 0 ? int8 : fma;
  }
};

struct EngineOptions {
  std::filesystem::path model;
  std::filesystem::path packed_folder;  // for the start; removed by the caller
  size_t n_threads = 0;
  size_t n_rounds = 5;
  std::chrono::duration<double> ceiling_time{0.1};  // for each of the two peaks
  size_t ceiling_bytes = 256u << 20;                // to read
};

Ceilings measure_ceilings(const EngineOptions& options);
Ceilings mean_of(const Ceilings& before, const Ceilings& after);

// The numbers of weights that every token, and every row of logits, goes through.
struct WeightCounts {
  double layers = 0, head = 0;
};
WeightCounts count_weights(const engine::ModelConfig& config);
double bytes_of_a_weight(engine::ComputeType type);

// "matmul.<type>.<n>": all matrix products of a layer, for n tokens; share of the peak of their type.
void measure_products(const engine::ModelConfig& config, engine::ComputeType type,
                      const EngineOptions& options, Report& report);

// "prefill.<type>.<n>" and "decode.<type>.<n>", tokens/s: whole steps of the model.
Result<void> measure_steps(engine::Model& model, const EngineOptions& options, Report& report);

// "e2e.sentiment.<type>" and "e2e.both.<type>.16", texts/s through the inference loop; "sharing.<type>", the
// share of prompt tokens that four tasks over one text compute.
Result<void> measure_jobs(engine::Model& model, const EngineOptions& options, Report& report);

// "start.<type>.pack" and "start.<type>.warm", seconds to load; "resident.<type>", bytes of a process that
// has loaded and prefilled.
Result<void> measure_start(engine::ComputeType type, const EngineOptions& options, Report& report);

}  // namespace tandem::bench
