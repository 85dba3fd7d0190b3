#include "worker/engine/kernels/simd.h"

#include <cstdlib>
#include <utility>
#include <vector>

// Registers of unknown width would need another layout of weights; SSSE3 and AVX3_DL add nothing to their
// neighbours.
#define HWY_DISABLED_TARGETS \
  (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_SSSE3 | HWY_AVX3_DL)

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "worker/engine/kernels/simd.cc"
#include <hwy/foreach_target.h>

#include "worker/engine/kernels/row_ops-inl.h"
#include "worker/engine/kernels/tile_float-inl.h"
#include "worker/engine/kernels/tile_q8-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::engine::HWY_NAMESPACE {

Simd of_this_target() {
  Simd simd;
  simd.float_rows_max = kFloatRows;
  simd.f32 = float_rows<kBlockInputs, Stored::kF32>;
  simd.bf16 = float_rows<kBlockInputs, Stored::kBf16Pairs>;
  simd.f16 = float_rows<kBlockInputs, Stored::kF16>;
  simd.f32_narrow = float_rows<32, Stored::kF32>;
  simd.f16_narrow = float_rows<32, Stored::kF16>;
  simd.q8_rows_max = kWideRows;
  simd.q8_input_bytes = 2;
  simd.q8 = q8_rows<int16_t, kWideRows>;
  simd.quantize = quantize_block<int16_t>;
  simd.widen_bf16_pairs = widen_bf16_pairs;
  simd.widen_f16 = widen_f16_row;
  simd.narrow_f16 = narrow_f16_row;
  simd.rms_norm = rms_norm_row;
  simd.silu_gate = silu_gate_row;
  simd.softmax = softmax_row;
  simd.turn_pairs = turn_pairs;
  return simd;
}

#if HWY_TARGET <= HWY_AVX3
Simd with_vnni() {
  Simd simd = of_this_target();
  simd.q8_rows_max = kVnniRows;
  simd.q8_input_bytes = 1;
  simd.q8 = q8_rows<int8_t, kVnniRows>;
  simd.quantize = quantize_block<int8_t>;
  return simd;
}
#endif

}  // namespace tandem::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::engine {
namespace {

std::vector<Simd> possible() {
  std::vector<Simd> all;
  const auto add = [&](const char* name, Simd simd) {
    simd.name = name;
    all.push_back(std::move(simd));
  };
#if HWY_ARCH_X86
  const int64_t supported = hwy::SupportedTargets();
  if ((supported & HWY_AVX3) != 0 && __builtin_cpu_supports("avx512vnni")) {
    add("avx512-vnni", N_AVX3::with_vnni());
  }
  if ((supported & HWY_AVX3) != 0) add("avx512", N_AVX3::of_this_target());
  if ((supported & HWY_AVX2) != 0) add("avx2", N_AVX2::of_this_target());
  if ((supported & HWY_SSE4) != 0) add("sse4", N_SSE4::of_this_target());
  add("plain", HWY_STATIC_DISPATCH(of_this_target)());
#else
  add(HWY_ARCH_ARM_A64 ? "neon" : "plain", HWY_STATIC_DISPATCH(of_this_target)());
#endif
  return all;
}

}  // namespace

std::span<const Simd> all_simd() {
  static const std::vector<Simd> all = possible();
  return all;
}

const Simd& simd() {
  static const Simd& chosen = []() -> const Simd& {
    const char* const wish = std::getenv("TANDEM_SIMD");
    for (const Simd& one : all_simd()) {
      if (wish != nullptr && one.name == wish) return one;
    }
    return all_simd().front();
  }();
  return chosen;
}

}  // namespace tandem::engine
#endif
