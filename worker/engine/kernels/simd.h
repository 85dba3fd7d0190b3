// The innermost loops, in the widest instructions of this CPU: tiles of matrix products, and what is done to
// rows between them.
//
// All weights lie in panels of 32 outputs and are summed in blocks of 128 inputs. An output is
//
//   ((block 0) + block 1) + block 2 ...
//
// where a float block is a chain of fused multiply-adds from zero, one for each input in order, and a q8
// block is an exact integer sum times the product of two scales. The order depends on nothing else: not on
// the number of rows, the threads, or the width of the registers. So a row has the same bits in every batch
// and on every CPU with fused multiply-add (x86-64 with AVX2 or AVX-512, ARM); sums inside a row (norms,
// softmax) go over 16 or 32 partial sums for the same reason.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace tandem::engine {

inline constexpr size_t kPanelOutputs = 32;  // side by side in a panel
inline constexpr size_t kBlockInputs = 128;  // summed on their own

inline constexpr float kQ8Least =
    1e-30f;  // a block of nothing larger is zeros: its inverse would be infinite

// One block of one panel of q8 weights. values[i / 4][o][i % 4] = weight + 128 of input i and output o.
struct Q8Block {
  uint8_t values[kBlockInputs / 4][kPanelOutputs][4];
  float scales[kPanelOutputs];
};

// Where input i lies in a row of 16-bit inputs: of four, 0 beside 2 and 1 beside 3. Those are the pairs that
// come out of Q8Block's words of two weights as their lower and upper bytes.
constexpr size_t wide_place(size_t i) {
  return i / 4 * 4 + i % 2 * 2 + i / 2 % 2;
}

// What a tile asks the memory for while it computes: the weights that come next.
struct Prefetch {
  const void* from = nullptr;
  size_t n_lines = 0;  // of 64 bytes
};

// c[row][o] (+)= sum_i x[row][i] * weights[i][o], for i in [0, n_inputs); replaced, not added to, when
// `first`.
//
//   x        rows 128 floats apart, or 32 for the narrow one
//   weights  f32 or f16 [n_inputs][32], or bf16 pairs [n_inputs][16]: output o in the low half of word o,
//            o + 16 in the high half
//   c        [n_rows][32]
using FloatTile = void (*)(size_t n_rows, size_t n_inputs, const float* x, const void* weights, float* c,
                           bool first, Prefetch next);

// The same for q8, over a whole block of 128 inputs.
//
//   x       [n_rows][128], int8 where `q8_input_bytes` is 1; where it is 2, int16 with input i at place
//           wide_place(i)
//   scales  [n_rows]
//   sums    [n_rows]: what sums of products begin with, -128 times the sum of a row's values: it takes away
//           what the 128 added to each weight adds to them
using Q8Tile = void (*)(size_t n_rows, const void* x, const float* scales, const int32_t* sums,
                        const Q8Block& weights, float* c, bool first, Prefetch next);

struct Simd {
  std::string name;           // "avx512-vnni", "avx512", "avx2", "sse4", "neon", "plain"
  size_t float_rows_max = 1;  // rows that one pass over a block of weights serves
  size_t q8_rows_max = 1;
  size_t q8_input_bytes = 1;
  FloatTile f32 = nullptr, bf16 = nullptr, f16 = nullptr;
  FloatTile f32_narrow = nullptr, f16_narrow = nullptr;
  Q8Tile q8 = nullptr;

  // out[i][32] floats from n_inputs rows of bf16 pairs.
  void (*widen_bf16_pairs)(const uint32_t* pairs, size_t n_inputs, float* out) = nullptr;
  // out[i] = the float of f16 bits, and back (to nearest even; too large becomes the largest finite one). n
  // is a multiple of 16.
  void (*widen_f16)(const uint16_t* half, size_t n, float* out) = nullptr;
  void (*narrow_f16)(const float* values, size_t n, uint16_t* out) = nullptr;

  // 128 floats to integers of `q8_input_bytes`: scale = largest magnitude / 127, x / scale rounded to nearest
  // even.
  void (*quantize)(const float* x, void* out, float& scale, int32_t& sum) = nullptr;
  // out[i] = x[i] * gain[i] / sqrt(mean of squares + epsilon); out may be x.
  void (*rms_norm)(const float* x, const float* gain, size_t n, float epsilon, float* out) = nullptr;
  // out[i] = gate[i] / (1 + exp(-gate[i])) * up[i]; out may be gate.
  void (*silu_gate)(const float* gate, const float* up, size_t n, float* out) = nullptr;
  // Scores of one row, in blocks of 32 that lie `stride` floats apart: of those seen, exp(scale * (score -
  // the largest)); all others become 0, whatever they were. Returns their sum. n_seen > 0.
  float (*softmax)(float* scores, size_t stride, size_t n_blocks, size_t n_seen, float scale) = nullptr;
  // Pairs (low[i], high[i]) turned by the angles of these cosines and sines.
  void (*turn_pairs)(float* low, float* high, const float* cosines, const float* sines, size_t n) = nullptr;
};

// The best that this CPU can, or the one that the environment variable TANDEM_SIMD names when it can run
// that: for tests and comparisons.
const Simd& simd();

// All that this CPU can run, best first: for tests.
std::span<const Simd> all_simd();

}  // namespace tandem::engine
