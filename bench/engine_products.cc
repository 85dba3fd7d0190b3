#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "bench/engine_parts.h"
#include "bench/median.h"
#include "worker/engine/kernels/packed_matmul.h"
#include "worker/engine/tensor/float_buffer.h"

namespace tandem::bench {

using engine::ComputeType;
using engine::MatmulInput;
using engine::Matrix;
using engine::PackedMatrix;

namespace {

constexpr size_t kLayers = 3;  // one after the other, so that weights come from memory as in a model

// Weights of no meaning, but ordinary numbers in every type.
class Weights {
 public:
  Weights(ComputeType type, size_t n_outputs, size_t n_inputs) : matrix_{type, n_outputs, n_inputs, nullptr} {
    auto memory = engine::FloatBuffer::reserve(matrix_.n_bytes() / sizeof(float));
    if (!memory) std::abort();
    memory_ = std::move(*memory);
    std::memset(static_cast<void*>(memory_.data()), 0x3c, matrix_.n_bytes());
    matrix_.data = reinterpret_cast<const std::byte*>(memory_.data());
  }
  const PackedMatrix& matrix() const { return matrix_; }

 private:
  PackedMatrix matrix_;
  engine::FloatBuffer memory_;
};

struct Layer {
  Weights qkv, o, gate_up, down;
};

}  // namespace

void measure_products(const engine::ModelConfig& config, ComputeType type, const EngineOptions& options,
                      Report& report) {
  engine::ThreadPool pool(options.n_threads);
  const size_t d_q = config.n_heads * config.d_head, d_qkv = d_q + 2 * config.n_kv_heads * config.d_head;
  const size_t n_gate_up =
      2 * ((config.d_ff + engine::kPanelOutputs - 1) / engine::kPanelOutputs * engine::kPanelOutputs);
  std::vector<Layer> layers;
  for (size_t i = 0; i < kLayers; ++i) {
    layers.push_back({{type, d_qkv, config.d_model},
                      {type, config.d_model, d_q},
                      {type, n_gate_up, config.d_model},
                      {type, config.d_model, config.d_ff}});
  }
  for (const size_t n : {16, 64, 512}) {
    const std::vector<float> row(std::max(config.d_model, d_q), 0.5f);
    MatmulInput x, attended, gated;
    x.reshape(type, n, config.d_model);
    attended.reshape(type, n, d_q);
    for (size_t t = 0; t < n; ++t) {
      x.set_row(t, std::span(row).first(config.d_model));
      attended.set_row(t, std::span(row).first(d_q));
    }
    std::vector<float> qkv(n * d_qkv), out(n * config.d_model);
    const Ceilings before = measure_ceilings(options);
    std::vector<double> seconds;
    for (size_t round = 0; round < options.n_rounds; ++round) {
      seconds.push_back(seconds_of([&] {
        for (const Layer& layer : layers) {
          multiply(pool, x, layer.qkv.matrix(), {}, Matrix{qkv.data(), n, d_qkv});
          multiply_add(pool, attended, layer.o.matrix(), Matrix{out.data(), n, config.d_model});
          multiply_silu_gate(pool, x, layer.gate_up.matrix(), config.d_ff, gated);
          multiply_add(pool, gated, layer.down.matrix(), Matrix{out.data(), n, config.d_model});
        }
      }));
    }
    const Ceilings ceilings = mean_of(before, measure_ceilings(options));
    const double n_operations = 2 * count_weights(config).layers / static_cast<double>(config.n_layers) *
                                kLayers * static_cast<double>(n) / median(seconds);
    report.add({"matmul." + std::string(name_of(type)) + "." + std::to_string(n), n_operations * 1e-9,
                "Gop/s", n_operations / ceilings.operations(type),
                type == ComputeType::kQ8
                    ? fmt::format("of int8 peak; {:.2f} x FMA peak", n_operations / ceilings.fma)
                    : std::string("of FMA peak")});
  }
}

}  // namespace tandem::bench
