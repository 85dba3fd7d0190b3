#include "worker/engine/kernels/packed_matmul.h"

#include <algorithm>
#include <vector>

#include "shared/base/assert.h"

namespace tandem::engine {
namespace {

// Panels that a thread works on together: each block of the input is brought near for four panels at once,
// and the outputs of a row are stored as 512 bytes side by side. One panel at a time costs a tenth of the
// rate in scattered stores.
constexpr size_t kGroup = 4;
static_assert(kGroup * kPanelOutputs == kBlockInputs, "a group of outputs is a block of the next input");

// Rows of outputs that are on their way from memory while others are stored. Without it, stores of a product
// of 512 rows wait for their lines one after the other: a tenth of the rate.
constexpr size_t kRowsAhead = 4;

constexpr size_t kTasksOfAThread = 8;           // so that a thread that is held up leaves work to the others
constexpr size_t kOperationsToShare = 1 << 16;  // below it, waking the others costs more than it saves

// A line of the cache, so that rows of 32 floats are two whole ones.
struct alignas(64) Line {
  float values[16];
};

// Of one thread; memory is kept from call to call.
struct Scratch {
  std::vector<Line> sums, block, weights;

  static float* floats(std::vector<Line>& lines, size_t n) {
    if (lines.size() * 16 < n) lines.resize((n + 15) / 16);
    return lines.front().values;
  }
};

Scratch& scratch() {
  thread_local Scratch of_this_thread;
  return of_this_thread;
}

// One block of one panel for all rows, added to sums[n_rows][32].
void multiply_block(const MatmulInput& x, const PackedMatrix& weights, size_t panel, size_t b, float* sums,
                    const Prefetch& next) {
  const Simd& kernels = simd();
  const size_t n_rows = x.n_rows(), n_inputs = std::min(kBlockInputs, weights.n_inputs - b * kBlockInputs);
  const std::byte* const block = weights.block(panel, b);
  switch (weights.type) {
    case ComputeType::kF32:
      return kernels.f32(n_rows, n_inputs, x.floats(b), block, sums, b == 0, next);
    case ComputeType::kBf16: {
      // Widening a block once pays when several tiles use it.
      if (n_rows <= 2 * kernels.float_rows_max) {
        return kernels.bf16(n_rows, n_inputs, x.floats(b), block, sums, b == 0, next);
      }
      float* const wide = Scratch::floats(scratch().weights, kBlockInputs * kPanelOutputs);
      kernels.widen_bf16_pairs(reinterpret_cast<const uint32_t*>(block), n_inputs, wide);
      return kernels.f32(n_rows, n_inputs, x.floats(b), wide, sums, b == 0, next);
    }
    case ComputeType::kQ8:
      return kernels.q8(n_rows, x.integers(b), x.scales(b), x.sums(b),
                        *reinterpret_cast<const Q8Block*>(block), sums, b == 0, next);
  }
}

// sums[panels of the group][n_rows][32]
float* multiply_group(const MatmulInput& x, const PackedMatrix& weights, size_t group) {
  const size_t begin = group * kGroup, end = std::min(begin + kGroup, weights.n_panels());
  const size_t n_blocks = weights.n_blocks(), n_of_panel = x.n_rows() * kPanelOutputs;
  const size_t n_lines = PackedMatrix::block_bytes(weights.type) / 64;
  float* const sums = Scratch::floats(scratch().sums, kGroup * n_of_panel);
  for (size_t b = 0; b < n_blocks; ++b) {
    for (size_t panel = begin; panel < end; ++panel) {
      Prefetch next = {nullptr, n_lines};
      if (panel + 1 < end) {
        next.from = weights.block(panel + 1, b);
      } else if (b + 1 < n_blocks) {
        next.from = weights.block(begin, b + 1);
      } else if (end < weights.n_panels()) {
        next.from = weights.block(end, 0);
      } else {
        next.n_lines = 0;
      }
      multiply_block(x, weights, panel, b, sums + (panel - begin) * n_of_panel, next);
    }
  }
  return sums;
}

// Calls on_part(part) for all parts of `n_panels` panels, on all threads.
template <typename OnPart>
void for_parts(ThreadPool& pool, const MatmulInput& x, const PackedMatrix& weights, size_t n_panels,
               const OnPart& on_part) {
  TANDEM_ASSERT(x.type() == weights.type && x.n_inputs() == weights.n_inputs, "x has what the weights take");
  if (x.n_rows() == 0) return;
  const size_t n_parts = (weights.n_panels() + n_panels - 1) / n_panels;
  const bool share = x.n_rows() * weights.n_outputs * weights.n_inputs >= kOperationsToShare;
  const size_t n_tasks = share ? std::min(n_parts, pool.n_threads() * kTasksOfAThread) : 1;
  pool.run(n_tasks, [&](size_t task, size_t) {
    for (size_t i = n_parts * task / n_tasks; i < n_parts * (task + 1) / n_tasks; ++i) on_part(i);
  });
}

void ask_to_write(std::span<float> values) {
  for (size_t i = 0; i < values.size(); i += 16) __builtin_prefetch(&values[i], 1);
}

template <typename Store>
void multiply_and(ThreadPool& pool, const MatmulInput& x, const PackedMatrix& weights, Matrix out,
                  const Store& store) {
  TANDEM_ASSERT(out.n_rows == x.n_rows() && out.n_columns == weights.n_outputs, "out has a place for all");
  for_parts(pool, x, weights, kGroup, [&](size_t group) {
    const float* const sums = multiply_group(x, weights, group);
    const size_t begin = group * kBlockInputs, end = std::min(begin + kBlockInputs, out.n_columns);
    for (size_t t = 0; t < x.n_rows(); ++t) {
      if (t + kRowsAhead < x.n_rows()) ask_to_write(out.row(t + kRowsAhead).subspan(begin, end - begin));
      for (size_t first = begin; first < end; first += kPanelOutputs) {
        const float* const row = sums + ((first - begin) / kPanelOutputs * x.n_rows() + t) * kPanelOutputs;
        store(row, out.data + t * out.n_columns + first, first, std::min(kPanelOutputs, end - first));
      }
    }
  });
}

}  // namespace

void multiply(ThreadPool& pool, const MatmulInput& x, const PackedMatrix& weights,
              std::span<const float> bias, Matrix out) {
  TANDEM_ASSERT(bias.empty() || bias.size() == weights.n_outputs, "one bias for each output");
  multiply_and(pool, x, weights, out, [&](const float* sums, float* to, size_t first, size_t n) {
    if (bias.empty()) {
      std::copy_n(sums, n, to);
    } else {
      for (size_t o = 0; o < n; ++o) to[o] = sums[o] + bias[first + o];
    }
  });
}

void multiply_add(ThreadPool& pool, const MatmulInput& x, const PackedMatrix& weights, Matrix out) {
  multiply_and(pool, x, weights, out, [](const float* sums, float* to, size_t, size_t n) {
    for (size_t o = 0; o < n; ++o) to[o] += sums[o];
  });
}

void multiply_silu_gate(ThreadPool& pool, const MatmulInput& x, const PackedMatrix& gate_up, size_t n_outputs,
                        MatmulInput& out) {
  TANDEM_ASSERT((n_outputs + kPanelOutputs - 1) / kPanelOutputs * 2 == gate_up.n_panels(),
                "gate and up alternate");
  out.reshape(x.type(), x.n_rows(), n_outputs);
  const size_t n_rows = x.n_rows(), n_of_panel = n_rows * kPanelOutputs;
  for_parts(pool, x, gate_up, 2 * kGroup, [&](size_t block) {
    float* const gated = Scratch::floats(scratch().block, n_rows * kBlockInputs);
    for (size_t i = 0; i < kGroup; i += kGroup / 2) {
      const size_t first = 2 * (block * kGroup + i);
      const size_t n_pairs =
          first < gate_up.n_panels() ? std::min(kGroup, gate_up.n_panels() - first) / 2 : 0;
      const float* const sums = n_pairs > 0 ? multiply_group(x, gate_up, first / kGroup) : nullptr;
      for (size_t t = 0; t < n_rows; ++t) {
        float* const to = gated + t * kBlockInputs + i * kPanelOutputs;
        for (size_t pair = 0; pair < n_pairs; ++pair) {
          const float* const gate = sums + 2 * pair * n_of_panel + t * kPanelOutputs;
          simd().silu_gate(gate, gate + n_of_panel, kPanelOutputs, to + pair * kPanelOutputs);
        }
        std::fill(to + n_pairs * kPanelOutputs, to + kGroup / 2 * kPanelOutputs, 0.0f);
      }
    }
    for (size_t t = 0; t < n_rows; ++t) out.set_block(t, block, gated + t * kBlockInputs);
  });
}

}  // namespace tandem::engine
