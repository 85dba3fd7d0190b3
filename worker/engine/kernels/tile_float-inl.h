// Float tiles for one SIMD target; included once for each by simd.cc.

#if defined(TANDEM_TILE_FLOAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TANDEM_TILE_FLOAT_INL_H_
#undef TANDEM_TILE_FLOAT_INL_H_
#else
#define TANDEM_TILE_FLOAT_INL_H_
#endif

#include <hwy/highway.h>

#include <utility>

#include "worker/engine/kernels/simd.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::engine::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using FloatVector = hn::Vec<Floats>;

// Rows of a tile: two registers of sums each, two for weights, one for the input; the rest of the registers.
#if HWY_TARGET <= HWY_AVX3
inline constexpr uint32_t kFloatRows = 14;
#elif HWY_ARCH_ARM_A64
inline constexpr uint32_t kFloatRows = 12;
#else
inline constexpr uint32_t kFloatRows = 6;
#endif

// Asks for lines evenly over the steps of a tile: all at once they would fill the buffers that the tile's own
// loads go through. Two places at each step, without a branch; a line may be asked for twice.
struct Ahead {
  const char *first, *second;
  size_t n_bytes;  // of each place, at each step

  HWY_INLINE Ahead(const Prefetch& next, const void* nothing_new, uint32_t n_steps)
      : first(static_cast<const char*>(next.n_lines > 0 ? next.from : nothing_new)),
        second(first + next.n_lines / 2 * 64),
        n_bytes((static_cast<uint32_t>(next.n_lines) * 32 + n_steps - 1) / n_steps) {}
  HWY_INLINE void step() {
    __builtin_prefetch(first, 0, 2);
    __builtin_prefetch(second, 0, 2);
    first += n_bytes;
    second += n_bytes;
  }
};

// Calls on_tile(rows, what to ask the memory for) for tiles of at most n_max rows, as even as can be: 64 rows
// are 13, 13, 13, 13, 12 and not 14, 14, 14, 14, 8.
template <class OnTile>
HWY_INLINE void for_even_tiles(size_t n_rows, uint32_t n_max, Prefetch next, const OnTile& on_tile) {
  const uint32_t n = static_cast<uint32_t>(n_rows), n_tiles = (n + n_max - 1) / n_max;
  if (n_tiles == 0) return;
  const uint32_t least = n / n_tiles, n_longer = n % n_tiles;
  const size_t n_lines = (static_cast<uint32_t>(next.n_lines) + n_tiles - 1) / n_tiles;
  for (uint32_t i = 0; i < n_tiles; ++i) {
    const size_t lines = HWY_MIN(n_lines, next.n_lines);
    on_tile(i < n_longer ? least + 1 : least, Prefetch{next.from, lines});
    next.from = static_cast<const char*>(next.from) + lines * 64;
    next.n_lines -= lines;
  }
}

enum class Stored { kF32, kBf16Pairs, kF16 };

// A register of outputs from `column` on, and one of those 16 further on, both of input i.
template <Stored kStored>
HWY_INLINE void load_weights(const void* weights, size_t i, size_t column, FloatVector& low,
                             FloatVector& high) {
  const Floats d;
  if constexpr (kStored == Stored::kBf16Pairs) {
    const hn::RebindToUnsigned<Floats> du;
    const auto pairs =
        hn::LoadU(du, static_cast<const uint32_t*>(weights) + i * (kPanelOutputs / 2) + column);
    low = hn::BitCast(d, hn::ShiftLeft<16>(pairs));
    high = hn::BitCast(d, hn::And(pairs, hn::Set(du, 0xFFFF0000u)));
  } else if constexpr (kStored == Stored::kF16) {
    const hn::Rebind<hwy::float16_t, Floats> dh;
    const auto* row = static_cast<const hwy::float16_t*>(weights) + i * kPanelOutputs + column;
    low = hn::PromoteTo(d, hn::LoadU(dh, row));
    high = hn::PromoteTo(d, hn::LoadU(dh, row + kPanelOutputs / 2));
  } else {
    const float* row = static_cast<const float*>(weights) + i * kPanelOutputs + column;
    low = hn::LoadU(d, row);
    high = hn::LoadU(d, row + kPanelOutputs / 2);
  }
}

template <size_t kRows, size_t kStride, Stored kStored>
void float_tile(size_t n_inputs, const float* HWY_RESTRICT x, const void* HWY_RESTRICT weights,
                float* HWY_RESTRICT c, bool first, Prefetch next) {
  const Floats d;
  Ahead ahead(next, weights, static_cast<uint32_t>(n_inputs * (kPanelOutputs / 2 / hn::Lanes(d))));
  for (size_t column = 0; column < kPanelOutputs / 2; column += hn::Lanes(d)) {
    FloatVector low[kRows], high[kRows];
#pragma GCC unroll 16
    for (size_t row = 0; row < kRows; ++row) low[row] = high[row] = hn::Zero(d);
    for (size_t i = 0; i < n_inputs; ++i) {
      FloatVector w_low, w_high;
      load_weights<kStored>(weights, i, column, w_low, w_high);
      ahead.step();
#pragma GCC unroll 16
      for (size_t row = 0; row < kRows; ++row) {
        const FloatVector input = hn::Set(d, x[row * kStride + i]);
        low[row] = hn::MulAdd(input, w_low, low[row]);
        high[row] = hn::MulAdd(input, w_high, high[row]);
      }
    }
#pragma GCC unroll 16
    for (size_t row = 0; row < kRows; ++row) {
      float* to = c + row * kPanelOutputs + column;
      if (!first) {
        low[row] = hn::Add(hn::LoadU(d, to), low[row]);
        high[row] = hn::Add(hn::LoadU(d, to + kPanelOutputs / 2), high[row]);
      }
      hn::StoreU(low[row], d, to);
      hn::StoreU(high[row], d, to + kPanelOutputs / 2);
    }
  }
}

using FloatTileOfRows = void (*)(size_t, const float*, const void*, float*, bool, Prefetch);

template <size_t kStride, Stored kStored, size_t... kRows>
FloatTileOfRows float_tile_of(size_t n_rows, std::index_sequence<kRows...>) {
  static constexpr FloatTileOfRows kTiles[] = {float_tile<kRows + 1, kStride, kStored>...};
  return kTiles[n_rows - 1];
}

template <size_t kStride, Stored kStored>
void float_rows(size_t n_rows, size_t n_inputs, const float* x, const void* weights, float* c, bool first,
                Prefetch next) {
  for_even_tiles(n_rows, kFloatRows, next, [&](size_t n, const Prefetch& of_tile) {
    float_tile_of<kStride, kStored>(n, std::make_index_sequence<kFloatRows>())(n_inputs, x, weights, c, first,
                                                                               of_tile);
    x += n * kStride;
    c += n * kPanelOutputs;
  });
}

}  // namespace tandem::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
