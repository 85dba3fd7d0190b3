// Tiles of 8-bit integers for one SIMD target; included once for each by simd.cc.

#if defined(TANDEM_TILE_Q8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TANDEM_TILE_Q8_INL_H_
#undef TANDEM_TILE_Q8_INL_H_
#else
#define TANDEM_TILE_Q8_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <type_traits>
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
// instruction for unsigned times signed bytes is not without VNNI. The pairs are inputs 0 and 2, and 1 and 3,
// of four: of a word of two weights, the lower byte and the upper one. So weights lie as VNNI takes them, and
// each lane of a register is one output. Inputs lie in pairs (wide_place()).
#if HWY_TARGET == HWY_SCALAR
inline constexpr uint32_t kWideRows = 1;

template <size_t kRows>
void q8_wide_tile(const int16_t* x, const float* scales, const int32_t* sums, const Q8Block& weights,
                  float* c, bool first, Prefetch /*next*/) {
  const hn::Sisd<int32_t> d32;
  for (size_t o = 0; o < kPanelOutputs; ++o) {
    int32_t sum = sums[0];
    for (size_t i = 0; i < kBlockInputs; ++i) sum += x[wide_place(i)] * weights.values[i / 4][o][i % 4];
    add_scaled(hn::Sisd<float>(), hn::Set(d32, sum), weights.scales + o, scales[0], c + o, first);
  }
}

#else

#if HWY_TARGET <= HWY_AVX3
inline constexpr uint32_t kWideRows = 12;
#else
inline constexpr uint32_t kWideRows = 6;
#endif

inline constexpr size_t kInputsAtOnce = 8;

using WideSums = hn::CappedTag<int32_t, 16>;
using WideVector = hn::Vec<WideSums>;
using Wide = hn::Vec<hn::RepartitionToNarrow<WideSums> >;

// The sums of a block for two registers of outputs in each of kRows rows, added to `begin`.
// sums[row][2 registers]
#if HWY_TARGET == HWY_AVX2
// Written out: six rows need all 16 registers, and g++ 12 keeps half of the sums in memory whatever way one
// asks for them, at half of the rate.
#define TANDEM_ROW(low, high, offset)                         \
  "vpbroadcastd " #offset                                     \
  "(%[x]), %%ymm15\n\tvpmaddwd %%ymm15, %%ymm12, %%ymm14\n\t" \
  "vpaddd %%ymm14, %%ymm" #low ", %%ymm" #low                 \
  "\n\tvpmaddwd %%ymm15, %%ymm13, %%ymm15\n\t"                \
  "vpaddd %%ymm15, %%ymm" #high ", %%ymm" #high "\n\t"
#define TANDEM_ROW_2(low, high, offset) TANDEM_ROW(low, high, 4 + offset)
#define TANDEM_ROW_3(low, high, offset) TANDEM_ROW(low, high, 8 + offset)
#define TANDEM_ROW_4(low, high, offset) TANDEM_ROW(low, high, 12 + offset)
#define TANDEM_BEGIN(low, high, offset) \
  "vpbroadcastd " #offset "/64(%[begin]), %%ymm" #low "\n\tvmovdqa %%ymm" #low ", %%ymm" #high "\n\t"
#define TANDEM_LOWER(at)                                                                \
  "vmovdqa %[lower], %%ymm13\n\tvpand " #at "(%[w]), %%ymm13, %%ymm12\n\tvpand 32+" #at \
  "(%[w]), %%ymm13, %%ymm13\n\t"
#define TANDEM_UPPER(at)                              \
  "vmovdqu " #at "(%[w]), %%ymm12\n\tvmovdqu 32+" #at \
  "(%[w]), %%ymm13\n\tvpsrlw $8, %%ymm12, %%ymm12\n\tvpsrlw $8, %%ymm13, %%ymm13\n\t"
#define TANDEM_STORE(low, high, offset) \
  "vmovdqu %%ymm" #low ", " #offset "/4(%[sums])\n\tvmovdqu %%ymm" #high ", 32+" #offset "/4(%[sums])\n\t"
#define TANDEM_WIDE_SUMS(rows, list)                                                                           \
  HWY_INLINE void wide_sums(std::integral_constant<size_t, rows>, const int16_t* x, const int32_t* begin,      \
                            const uint8_t* weights, Ahead& ahead, int32_t* sums) {                             \
    alignas(32) static constexpr uint32_t kLowerBytes[8] = {0x00FF00FF, 0x00FF00FF, 0x00FF00FF, 0x00FF00FF,    \
                                                            0x00FF00FF, 0x00FF00FF, 0x00FF00FF, 0x00FF00FF};   \
    size_t n_steps = kBlockInputs / kInputsAtOnce;                                                             \
    asm volatile(                                                                                            \
        list(TANDEM_BEGIN) ".p2align 5\n1:\n\t"                                                              \
        "prefetcht1 (%[first])\n\tadd %[bytes], %[first]\n\t"                                                \
        "prefetcht1 (%[second])\n\tadd %[bytes], %[second]\n\t" TANDEM_LOWER(0) list(TANDEM_ROW)             \
            TANDEM_UPPER(0) list(TANDEM_ROW_2) TANDEM_LOWER(128) list(TANDEM_ROW_3) TANDEM_UPPER(128) list(  \
                TANDEM_ROW_4) "add $256, %[w]\n\tadd $16, %[x]\n\tdec %[n]\n\tjnz 1b\n\t" list(TANDEM_STORE) \
        : [x] "+r"(x), [w] "+r"(weights), [first] "+r"(ahead.first), [second] "+r"(ahead.second),            \
          [n] "+r"(n_steps)                                                                                  \
        : [bytes] "r"(ahead.n_bytes), [begin] "r"(begin), [sums] "r"(sums),                                   \
          [lower] "m"(kLowerBytes)                                                                             \
        : "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10", "ymm11",  \
          "ymm12", "ymm13", "ymm14", "ymm15", "memory", "cc"); \
  }
static_assert(kBlockInputs * sizeof(int16_t) == 256 && sizeof(Q8Block::values[0]) == 128,
              "the distances below");
#define TANDEM_1(X) X(0, 1, 0)
#define TANDEM_2(X) TANDEM_1(X) X(2, 3, 256)
#define TANDEM_3(X) TANDEM_2(X) X(4, 5, 512)
#define TANDEM_4(X) TANDEM_3(X) X(6, 7, 768)
#define TANDEM_5(X) TANDEM_4(X) X(8, 9, 1024)
#define TANDEM_6(X) TANDEM_5(X) X(10, 11, 1280)
TANDEM_WIDE_SUMS(1, TANDEM_1)
TANDEM_WIDE_SUMS(2, TANDEM_2)
TANDEM_WIDE_SUMS(3, TANDEM_3)
TANDEM_WIDE_SUMS(4, TANDEM_4)
TANDEM_WIDE_SUMS(5, TANDEM_5)
TANDEM_WIDE_SUMS(6, TANDEM_6)
#else
template <size_t kRows>
HWY_INLINE void wide_sums(std::integral_constant<size_t, kRows>, const int16_t* x, const int32_t* begin,
                          const uint8_t* weights, Ahead& ahead, int32_t* sums) {
  const WideSums d32;
  const hn::RepartitionToNarrow<WideSums> d16;
  const hn::RebindToUnsigned<decltype(d16)> du16;
  const size_t n_lanes = hn::Lanes(d32);
  WideVector low[kRows], high[kRows], low_rest[kRows], high_rest[kRows];
#pragma GCC unroll 16
  for (size_t row = 0; row < kRows; ++row) {
    low[row] = high[row] = low_rest[row] = high_rest[row] = hn::Zero(d32);
  }
  const auto add_products = [&](Wide w_low, Wide w_high, const int16_t* pair) HWY_ATTR {
#pragma GCC unroll 16
    for (size_t row = 0; row < kRows; ++row) {
      int32_t two;
      __builtin_memcpy(&two, pair + row * kBlockInputs, sizeof two);
      const Wide input = hn::BitCast(d16, hn::Set(d32, two));
      low[row] = hn::ReorderWidenMulAccumulate(d32, w_low, input, low[row], low_rest[row]);
      high[row] = hn::ReorderWidenMulAccumulate(d32, w_high, input, high[row], high_rest[row]);
    }
  };
  const auto lower_bytes = hn::Set(du16, 0x00FF);
  const hn::Repartition<uint8_t, WideSums> d8;
  for (size_t i = 0; i < kBlockInputs; i += 4, weights += sizeof(Q8Block::values[0])) {
    if (i % kInputsAtOnce == 0) ahead.step();
    const auto w_low = hn::BitCast(du16, hn::LoadU(d8, weights));
    const auto w_high = hn::BitCast(du16, hn::LoadU(d8, weights + 4 * n_lanes));
    add_products(hn::BitCast(d16, hn::And(w_low, lower_bytes)),
                 hn::BitCast(d16, hn::And(w_high, lower_bytes)), x + i);
    add_products(hn::BitCast(d16, hn::ShiftRight<8>(w_low)), hn::BitCast(d16, hn::ShiftRight<8>(w_high)),
                 x + i + 2);
  }
#pragma GCC unroll 16
  for (size_t row = 0; row < kRows; ++row) {
    const WideVector before = hn::Set(d32, begin[row]);
    int32_t* const to = sums + 2 * row * n_lanes;
    hn::StoreU(hn::Add(before, hn::RearrangeToOddPlusEven(low[row], low_rest[row])), d32, to);
    hn::StoreU(hn::Add(before, hn::RearrangeToOddPlusEven(high[row], high_rest[row])), d32, to + n_lanes);
  }
}
#endif

template <size_t kRows>
void q8_wide_tile(const int16_t* HWY_RESTRICT x, const float* HWY_RESTRICT scales,
                  const int32_t* HWY_RESTRICT sums, const Q8Block& weights, float* HWY_RESTRICT c, bool first,
                  Prefetch next) {
  const WideSums d32;
  const hn::RebindToFloat<WideSums> df;
  const size_t n_columns = 2 * hn::Lanes(d32);
  alignas(64) int32_t products[kRows * 2 * hn::MaxLanes(d32)];
  Ahead ahead(next, &weights, kBlockInputs / kInputsAtOnce * (kPanelOutputs / n_columns));
  for (size_t column = 0; column < kPanelOutputs; column += n_columns) {
    wide_sums(std::integral_constant<size_t, kRows>(), x, sums, &weights.values[0][column][0], ahead,
              products);
    for (size_t row = 0; row < kRows; ++row) {
      for (size_t o = 0; o < n_columns; o += hn::Lanes(d32)) {
        add_scaled(df, hn::LoadU(d32, products + row * n_columns + o), weights.scales + column + o,
                   scales[row], c + row * kPanelOutputs + column + o, first);
      }
    }
  }
}

#endif  // HWY_SCALAR

#if HWY_TARGET <= HWY_AVX3
// AVX-512 VNNI: four products of unsigned weights and signed inputs into one 32-bit sum.
// Highway has no name for the instruction, and g++ 12 keeps the sums in registers or in memory as the code
// around it happens to be, so the tile is written out. Only run where the CPU has it.
//
// to[row][32] = from[row][32] + (sums[row] + the products) * scales[row] * the scales behind the weights
inline constexpr uint32_t kVnniRows = 14;

#define TANDEM_VNNI_BEGIN(low, high, offset) \
  "vpbroadcastd " #offset "/32(%[sums]), %%zmm" #low "\n\tvmovdqa64 %%zmm" #low ", %%zmm" #high "\n\t"
#define TANDEM_VNNI_ROW(low, high, offset)                                           \
  "vpbroadcastd " #offset "(%[x]), %%zmm30\n\tvpdpbusd %%zmm30, %%zmm28, %%zmm" #low \
  "\n\t"                                                                             \
  "vpdpbusd %%zmm30, %%zmm29, %%zmm" #high "\n\t"
#define TANDEM_VNNI_SCALED(sum, scales, offset)                                                            \
  "vcvtdq2ps %%zmm" #sum ", %%zmm" #sum "\n\tvmulps %%zmm30, %%zmm" #scales                                \
  ", %%zmm31\n\tvfmadd213ps " offset "(%[from]), %%zmm31, %%zmm" #sum "\n\tvmovups %%zmm" #sum ", " offset \
  "(%[to])\n\t"
#define TANDEM_VNNI_END(low, high, offset)                                                   \
  "vbroadcastss " #offset "/32(%[scales]), %%zmm30\n\t" TANDEM_VNNI_SCALED(low, 28, #offset) \
      TANDEM_VNNI_SCALED(high, 29, "64+" #offset)
#define TANDEM_VNNI_TILE(rows, list)                                                                           \
  HWY_INLINE void vnni_tile(std::integral_constant<size_t, rows>, const int8_t* x, const float* scales,        \
                            const int32_t* sums, const uint8_t* weights, const float* from, float* to,         \
                            Ahead ahead) {                                                                     \
    size_t n_steps = kBlockInputs / 4;                                                                         \
    asm volatile(list(TANDEM_VNNI_BEGIN) ".p2align 4\n1:\n\t"                                                \
                 "vmovdqu64 (%[w]), %%zmm28\n\tvmovdqu64 64(%[w]), %%zmm29\n\t"                             \
                 "prefetcht1 (%[first])\n\tprefetcht1 (%[second])\n\t"                                     \
                 "add %[bytes], %[first]\n\tadd %[bytes], %[second]\n\t" list(TANDEM_VNNI_ROW)             \
                 "add $128, %[w]\n\tadd $4, %[x]\n\tdec %[n]\n\tjnz 1b\n\t"                               \
                 "vmovups (%[w]), %%zmm28\n\tvmovups 64(%[w]), %%zmm29\n\t" list(TANDEM_VNNI_END)           \
                 : [x] "+r"(x), [w] "+r"(weights), [first] "+r"(ahead.first), [second] "+r"(ahead.second),   \
                   [n] "+r"(n_steps)                                                                         \
                 : [bytes] "r"(ahead.n_bytes), [sums] "r"(sums), [scales] "r"(scales), [from] "r"(from),     \
                   [to] "r"(to)                                                                              \
                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",  \
                   "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", \
                   "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", \
                   "xmm31", "memory", "cc"); \
  }
static_assert(offsetof(Q8Block, scales) == kBlockInputs / 4 * 128, "the scales lie behind the last weight");
static_assert(kVnniRows == 14 && kBlockInputs == 128 && sizeof(Q8Block::values[0]) == 128,
              "the distances below");
#define TANDEM_VNNI_1(X) X(0, 1, 0)
#define TANDEM_VNNI_2(X) TANDEM_VNNI_1(X) X(2, 3, 128)
#define TANDEM_VNNI_3(X) TANDEM_VNNI_2(X) X(4, 5, 256)
#define TANDEM_VNNI_4(X) TANDEM_VNNI_3(X) X(6, 7, 384)
#define TANDEM_VNNI_5(X) TANDEM_VNNI_4(X) X(8, 9, 512)
#define TANDEM_VNNI_6(X) TANDEM_VNNI_5(X) X(10, 11, 640)
#define TANDEM_VNNI_7(X) TANDEM_VNNI_6(X) X(12, 13, 768)
#define TANDEM_VNNI_8(X) TANDEM_VNNI_7(X) X(14, 15, 896)
#define TANDEM_VNNI_9(X) TANDEM_VNNI_8(X) X(16, 17, 1024)
#define TANDEM_VNNI_10(X) TANDEM_VNNI_9(X) X(18, 19, 1152)
#define TANDEM_VNNI_11(X) TANDEM_VNNI_10(X) X(20, 21, 1280)
#define TANDEM_VNNI_12(X) TANDEM_VNNI_11(X) X(22, 23, 1408)
#define TANDEM_VNNI_13(X) TANDEM_VNNI_12(X) X(24, 25, 1536)
#define TANDEM_VNNI_14(X) TANDEM_VNNI_13(X) X(26, 27, 1664)
TANDEM_VNNI_TILE(1, TANDEM_VNNI_1)
TANDEM_VNNI_TILE(2, TANDEM_VNNI_2)
TANDEM_VNNI_TILE(3, TANDEM_VNNI_3)
TANDEM_VNNI_TILE(4, TANDEM_VNNI_4)
TANDEM_VNNI_TILE(5, TANDEM_VNNI_5)
TANDEM_VNNI_TILE(6, TANDEM_VNNI_6)
TANDEM_VNNI_TILE(7, TANDEM_VNNI_7)
TANDEM_VNNI_TILE(8, TANDEM_VNNI_8)
TANDEM_VNNI_TILE(9, TANDEM_VNNI_9)
TANDEM_VNNI_TILE(10, TANDEM_VNNI_10)
TANDEM_VNNI_TILE(11, TANDEM_VNNI_11)
TANDEM_VNNI_TILE(12, TANDEM_VNNI_12)
TANDEM_VNNI_TILE(13, TANDEM_VNNI_13)
TANDEM_VNNI_TILE(14, TANDEM_VNNI_14)

template <size_t kRows>
void q8_vnni_tile(const int8_t* HWY_RESTRICT x, const float* HWY_RESTRICT scales,
                  const int32_t* HWY_RESTRICT sums, const Q8Block& weights, float* HWY_RESTRICT c, bool first,
                  Prefetch next) {
  alignas(64) static constexpr float kZeros[kVnniRows * kPanelOutputs] = {};
  vnni_tile(std::integral_constant<size_t, kRows>(), x, scales, sums, &weights.values[0][0][0],
            first ? kZeros : c, c, Ahead(next, &weights, kBlockInputs / 4));
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

template <class Input, uint32_t kRowsMax>
void q8_rows(size_t n_rows, const void* input, const float* scales, const int32_t* sums,
             const Q8Block& weights, float* c, bool first, Prefetch next) {
  const Input* x = static_cast<const Input*>(input);
  for_even_tiles(n_rows, kRowsMax, next, [&](size_t n, const Prefetch& of_tile) {
    q8_tile_of(x, n, std::make_index_sequence<kRowsMax>())(x, scales, sums, weights, c, first, of_tile);
    x += n * kBlockInputs;
    c += n * kPanelOutputs;
    scales += n;
    sums += n;
  });
}

}  // namespace tandem::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
