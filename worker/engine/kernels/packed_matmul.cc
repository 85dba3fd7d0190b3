#include "worker/engine/kernels/packed_matmul.h"

#include <algorithm>
#include <vector>

#include "shared/base/assert.h"

namespace tandem::engine {
namespace {

constexpr size_t kPanelsOfABlock =
    kBlockInputs / kPanelOutputs;               // outputs that are one block of the next input
constexpr size_t kTasksOfAThread = 8;           // so that a thread that is held up leaves work to the others
constexpr size_t kOperationsToShare = 1 << 16;  // below it, waking the others costs more than it saves

// A line of the cache, so that rows of 32 floats are two whole ones.
struct alignas(64) Line {
  float values[16];
};

// Of one thread; memory is kept from call to call.
struct Scratch {
  std::vector<Line> sums, other_sums, block, weights;

  static float* floats(std::vector<Line>& lines, size_t n) {
    if (lines.size() * 16 < n) lines.resize((n + 15) / 16);
    return lines.front().values;
  }
};

Scratch& scratch() {
  thread_local Scratch of_this_thread;
  return of_this_thread;
}

// sums[n_rows][32] of one panel.
void multiply_panel(const MatmulInput& x, const PackedMatrix& weights, size_t panel, float* sums) {
  const Simd& kernels = simd();
  const size_t n_rows = x.n_rows(), n_blocks = weights.n_blocks();
  const size_t n_lines = PackedMatrix::block_bytes(weights.type) / 64;
  // Widening a block of bf16 once pays when several tiles use it.
  const bool widen = weights.type == ComputeType::kBf16 && n_rows > 2 * kernels.float_rows_max;
  float* const wide = widen ? Scratch::floats(scratch().weights, kBlockInputs * kPanelOutputs) : nullptr;

  for (size_t b = 0; b < n_blocks; ++b) {
    const std::byte* const block = weights.block(panel, b);
    const bool is_last = panel + 1 == weights.n_panels() && b + 1 == n_blocks;
    const Prefetch next = {block + n_lines * 64, is_last ? 0 : n_lines};
    const size_t n_inputs = std::min(kBlockInputs, weights.n_inputs - b * kBlockInputs);
    switch (weights.type) {
      case ComputeType::kF32:
        kernels.f32(n_rows, n_inputs, x.floats(b), block, sums, b == 0, next);
        break;
      case ComputeType::kBf16:
        if (widen) {
          kernels.widen_bf16_pairs(reinterpret_cast<const uint32_t*>(block), n_inputs, wide);
          kernels.f32(n_rows, n_inputs, x.floats(b), wide, sums, b == 0, next);
        } else {
          kernels.bf16(n_rows, n_inputs, x.floats(b), block, sums, b == 0, next);
        }
        break;
      case ComputeType::kQ8:
        kernels.q8(n_rows, x.integers(b), x.scales(b), x.sums(b), *reinterpret_cast<const Q8Block*>(block),
                   sums, b == 0, next);
        break;
    }
  }
}

// Calls on_group(group) for all groups of `n_panels` panels, on all threads.
template <typename OnGroup>
void for_groups(ThreadPool& pool, const MatmulInput& x, const PackedMatrix& weights, size_t n_panels,
                const OnGroup& on_group) {
  TANDEM_ASSERT(x.type() == weights.type && x.n_inputs() == weights.n_inputs, "x has what the weights take");
  if (x.n_rows() == 0) return;
  const size_t n_groups = (weights.n_panels() + n_panels - 1) / n_panels;
  const bool share = x.n_rows() * weights.n_outputs * weights.n_inputs >= kOperationsToShare;
  const size_t n_tasks = share ? std::min(n_groups, pool.n_threads() * kTasksOfAThread) : 1;
  pool.run(n_tasks, [&](size_t task, size_t) {
    for (size_t i = n_groups * task / n_tasks; i < n_groups * (task + 1) / n_tasks; ++i) on_group(i);
  });
}

template <typename Store>
void multiply_and(ThreadPool& pool, const MatmulInput& x, const PackedMatrix& weights, Matrix out,
                  const Store& store) {
  TANDEM_ASSERT(out.n_rows == x.n_rows() && out.n_columns == weights.n_outputs, "out has a place for all");
  for_groups(pool, x, weights, 1, [&](size_t panel) {
    float* const sums = Scratch::floats(scratch().sums, x.n_rows() * kPanelOutputs);
    multiply_panel(x, weights, panel, sums);
    const size_t first = panel * kPanelOutputs, n = std::min(kPanelOutputs, out.n_columns - first);
    for (size_t t = 0; t < x.n_rows(); ++t) {
      store(sums + t * kPanelOutputs, out.data + t * out.n_columns + first, first, n);
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
  const size_t n_rows = x.n_rows();
  for_groups(pool, x, gate_up, 2 * kPanelsOfABlock, [&](size_t block) {
    float* const gate = Scratch::floats(scratch().sums, n_rows * kPanelOutputs);
    float* const up = Scratch::floats(scratch().other_sums, n_rows * kPanelOutputs);
    float* const gated = Scratch::floats(scratch().block, n_rows * kBlockInputs);
    for (size_t i = 0; i < kPanelsOfABlock; ++i) {
      const size_t panel = 2 * (block * kPanelsOfABlock + i);
      const bool is_there = panel < gate_up.n_panels();  // the last block may have fewer
      if (is_there) {
        multiply_panel(x, gate_up, panel, gate);
        multiply_panel(x, gate_up, panel + 1, up);
      }
      for (size_t t = 0; t < n_rows; ++t) {
        float* const to = gated + t * kBlockInputs + i * kPanelOutputs;
        if (is_there) {
          simd().silu_gate(gate + t * kPanelOutputs, up + t * kPanelOutputs, kPanelOutputs, to);
        } else {
          std::fill_n(to, kPanelOutputs, 0.0f);
        }
      }
    }
    for (size_t t = 0; t < n_rows; ++t) out.set_block(t, block, gated + t * kBlockInputs);
  });
}

}  // namespace tandem::engine
