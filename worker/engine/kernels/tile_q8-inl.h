// Tiles of 8-bit integers for one SIMD target; included once for each by simd.cc.

#if defined(TANDEM_TILE_Q8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TANDEM_TILE_Q8_INL_H_
#undef TANDEM_TILE_Q8_INL_H_
#else
#define TANDEM_TILE_Q8_INL_H_
#endif

#include <hwy/highway.h>

#include <utility>

#include "worker/engine/kernels/simd.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::engine::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// c = first ? sum * scale : c + sum * scale, with the sums of one register of outputs.
template <class DF, class VI>
HWY_INLINE void add_scaled(DF df, VI sums, const float* weight_scales, float input_scale, float* c,
                           bool first) {
  const auto scale = hn::Mul(hn::LoadU(df, weight_scales), hn::Set(df, input_scale));
  const auto before = first ? hn::Zero(df) : hn::LoadU(df, c);
  hn::StoreU(hn::MulAdd(hn::ConvertTo(df, sums), scale, before), df, c);
}

// Products of 16-bit integers, added in pairs (vpmaddwd): exact with 8-bit values of any sign, which the
// instruction for unsigned times signed bytes is not without VNNI. A register of weights is half as many
// outputs with two sums each.
#if HWY_TARGET == HWY_SCALAR
inline constexpr size_t kWideRows = 1;

template <size_t kRows>
void q8_wide_tile(const int16_t* x, const float* scales, const int32_t* sums, const Q8Block& weights,
                  float* c, bool first, Prefetch /*next*/) {
  const hn::Sisd<int32_t> d32;
  for (size_t o = 0; o < kPanelOutputs; ++o) {
    int32_t sum = -sums[0];
    for (size_t i = 0; i < kBlockInputs; ++i) sum += x[i] * weights.values[i / 4][o][i % 4];
    add_scaled(hn::Sisd<float>(), hn::Set(d32, sum), weights.scales + o, scales[0], c + o, first);
  }
}

#else

#if HWY_TARGET <= HWY_AVX3
inline constexpr size_t kWideRows = 12;
#else
inline constexpr size_t kWideRows = 6;
#endif

using WideSums = hn::CappedTag<int32_t, 16>;

template <size_t kRows>
void q8_wide_tile(const int16_t* HWY_RESTRICT x, const float* HWY_RESTRICT scales,
                  const int32_t* HWY_RESTRICT sums, const Q8Block& weights, float* HWY_RESTRICT c, bool first,
                  Prefetch next) {
  const WideSums d32;
  const hn::RepartitionToNarrow<WideSums> d16;
  const hn::Rebind<uint8_t, decltype(d16)> d8;
  const hn::Repartition<int64_t, WideSums> d64;
  const hn::RebindToFloat<WideSums> df;
  const size_t n_lanes = hn::Lanes(d32);
  using Vector = hn::Vec<WideSums>;
  const char* ahead = static_cast<const char*>(next.from);
  size_t n_ahead = next.n_lines;
  for (size_t column = 0; column < kPanelOutputs; column += n_lanes) {
    Vector low[kRows], high[kRows];
#if HWY_ARCH_ARM_A64
    Vector low_rest[kRows], high_rest[kRows];
#else
    Vector unused = hn::Zero(d32);
#endif
#pragma GCC unroll 16
    for (size_t row = 0; row < kRows; ++row) {
      low[row] = high[row] = hn::Zero(d32);
#if HWY_ARCH_ARM_A64
      low_rest[row] = high_rest[row] = hn::Zero(d32);
#endif
    }
    for (size_t i = 0; i < kBlockInputs / 4; ++i) {
      const uint8_t* w = &weights.values[i][column][0];
      const auto w_low =
          hn::BitCast(d16, hn::PromoteTo(hn::RebindToUnsigned<decltype(d16)>(), hn::LoadU(d8, w)));
      const auto w_high = hn::BitCast(
          d16, hn::PromoteTo(hn::RebindToUnsigned<decltype(d16)>(), hn::LoadU(d8, w + 2 * n_lanes)));
      if (n_ahead > 0) {
        __builtin_prefetch(ahead, 0, 2);
        ahead += 64;
        --n_ahead;
      }
#pragma GCC unroll 16
      for (size_t row = 0; row < kRows; ++row) {
        int64_t four;
        __builtin_memcpy(&four, x + row * kBlockInputs + i * 4, sizeof four);
        const auto input = hn::BitCast(d16, hn::Set(d64, four));
#if HWY_ARCH_ARM_A64
        low[row] = hn::ReorderWidenMulAccumulate(d32, w_low, input, low[row], low_rest[row]);
        high[row] = hn::ReorderWidenMulAccumulate(d32, w_high, input, high[row], high_rest[row]);
#else
        low[row] = hn::ReorderWidenMulAccumulate(d32, w_low, input, low[row], unused);
        high[row] = hn::ReorderWidenMulAccumulate(d32, w_high, input, high[row], unused);
#endif
      }
    }
#pragma GCC unroll 16
    for (size_t row = 0; row < kRows; ++row) {
#if HWY_ARCH_ARM_A64
      const Vector pairs_low = hn::RearrangeToOddPlusEven(low[row], low_rest[row]);
      const Vector pairs_high = hn::RearrangeToOddPlusEven(high[row], high_rest[row]);
#else
      const Vector pairs_low = low[row], pairs_high = high[row];
#endif
      const Vector sum =
          hn::Add(hn::ConcatEven(d32, pairs_high, pairs_low), hn::ConcatOdd(d32, pairs_high, pairs_low));
      add_scaled(df, hn::Sub(sum, hn::Set(d32, sums[row])), weights.scales + column, scales[row],
                 c + row * kPanelOutputs + column, first);
    }
  }
}

#endif  // HWY_SCALAR

#if HWY_TARGET <= HWY_AVX3
// AVX-512 VNNI: four products of unsigned weights and signed inputs into one 32-bit sum. Highway has no name
// for it, and through the intrinsic g++ 12 copies every sum from register to register, so it is written out.
// Only run where the CPU has it.
inline constexpr size_t kVnniRows = 14;

HWY_INLINE void add_products(__m512i& sum, __m512i weights, __m512i input) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(input));
}

template <size_t kRows>
void q8_vnni_tile(const int8_t* HWY_RESTRICT x, const float* HWY_RESTRICT scales,
                  const int32_t* HWY_RESTRICT sums, const Q8Block& weights, float* HWY_RESTRICT c, bool first,
                  Prefetch next) {
  const hn::Full512<int32_t> d32;
  const hn::Full512<float> df;
  using Vector = hn::Vec<hn::Full512<int32_t>>;
  const char* ahead = static_cast<const char*>(next.from);
  size_t n_ahead = next.n_lines;
  __m512i low[kRows], high[kRows];
#pragma GCC unroll 16
  for (size_t row = 0; row < kRows; ++row) low[row] = high[row] = _mm512_setzero_si512();
  for (size_t i = 0; i < kBlockInputs / 4; ++i) {
    const __m512i w_low = _mm512_loadu_si512(&weights.values[i][0]);
    const __m512i w_high = _mm512_loadu_si512(&weights.values[i][kPanelOutputs / 2]);
    if (n_ahead > 0) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += 64;
      --n_ahead;
    }
#pragma GCC unroll 16
    for (size_t row = 0; row < kRows; ++row) {
      int32_t four;
      __builtin_memcpy(&four, x + row * kBlockInputs + i * 4, sizeof four);
      const __m512i input = _mm512_set1_epi32(four);
      add_products(low[row], w_low, input);
      add_products(high[row], w_high, input);
    }
  }
#pragma GCC unroll 16
  for (size_t row = 0; row < kRows; ++row) {
    const Vector offset = hn::Set(d32, sums[row]);
    float* to = c + row * kPanelOutputs;
    add_scaled(df, hn::Sub(Vector{low[row]}, offset), weights.scales, scales[row], to, first);
    add_scaled(df, hn::Sub(Vector{high[row]}, offset), weights.scales + kPanelOutputs / 2, scales[row],
               to + kPanelOutputs / 2, first);
  }
}
#endif

template <class Input>
using Q8TileOfRows = void (*)(const Input*, const float*, const int32_t*, const Q8Block&, float*, bool,
                              Prefetch);

template <size_t... kRows>
Q8TileOfRows<int16_t> q8_tile_of(const int16_t*, size_t n_rows, std::index_sequence<kRows...>) {
  static constexpr Q8TileOfRows<int16_t> kTiles[] = {q8_wide_tile<kRows + 1>...};
  return kTiles[n_rows - 1];
}

#if HWY_TARGET <= HWY_AVX3
template <size_t... kRows>
Q8TileOfRows<int8_t> q8_tile_of(const int8_t*, size_t n_rows, std::index_sequence<kRows...>) {
  static constexpr Q8TileOfRows<int8_t> kTiles[] = {q8_vnni_tile<kRows + 1>...};
  return kTiles[n_rows - 1];
}
#endif

template <class Input, size_t kRowsMax>
void q8_rows(size_t n_rows, const void* input, const float* scales, const int32_t* sums,
             const Q8Block& weights, float* c, bool first, Prefetch next) {
  const Input* x = static_cast<const Input*>(input);
  while (n_rows > 0) {
    const size_t n_tiles = (n_rows + kRowsMax - 1) / kRowsMax;
    const size_t n = (n_rows + n_tiles - 1) / n_tiles;
    const size_t n_lines = (next.n_lines + n_tiles - 1) / n_tiles;
    q8_tile_of(x, n, std::make_index_sequence<kRowsMax>())(x, scales, sums, weights, c, first,
                                                           {next.from, n_lines});
    x += n * kBlockInputs;
    c += n * kPanelOutputs;
    scales += n;
    sums += n;
    n_rows -= n;
    next.from = static_cast<const char*>(next.from) + n_lines * 64;
    next.n_lines -= n_lines;
  }
}

}  // namespace tandem::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
