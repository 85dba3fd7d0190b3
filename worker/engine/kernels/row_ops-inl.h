// Row operations for one SIMD target; included once for each by simd.cc.

#if defined(TANDEM_ROW_OPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TANDEM_ROW_OPS_INL_H_
#undef TANDEM_ROW_OPS_INL_H_
#else
#define TANDEM_ROW_OPS_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>
#include <utility>

#include "worker/engine/kernels/simd.h"
#include "worker/engine/tensor/element_type.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::engine::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using RowFloats = hn::CappedTag<float, 16>;

void widen_bf16_pairs(const uint32_t* HWY_RESTRICT pairs, size_t n_inputs, float* HWY_RESTRICT out) {
  const RowFloats d;
  const hn::RebindToUnsigned<RowFloats> du;
  const auto high_half = hn::Set(du, 0xFFFF0000u);
  for (size_t i = 0; i < n_inputs; ++i, pairs += kPanelOutputs / 2, out += kPanelOutputs) {
    for (size_t o = 0; o < kPanelOutputs / 2; o += hn::Lanes(d)) {
      const auto both = hn::LoadU(du, pairs + o);
      hn::StoreU(hn::BitCast(d, hn::ShiftLeft<16>(both)), d, out + o);
      hn::StoreU(hn::BitCast(d, hn::And(both, high_half)), d, out + o + kPanelOutputs / 2);
    }
  }
}

void widen_f16_row(const uint16_t* HWY_RESTRICT half, size_t n, float* HWY_RESTRICT out) {
  const RowFloats d;
  const hn::Rebind<hwy::float16_t, RowFloats> dh;
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(half + i))), d,
               out + i);
  }
}

void narrow_f16_row(const float* HWY_RESTRICT values, size_t n, uint16_t* HWY_RESTRICT out) {
#if HWY_ARCH_X86 && HWY_TARGET > HWY_AVX2
  // Without an instruction for it, Highway truncates.
  for (size_t i = 0; i < n; ++i) out[i] = narrow_f16(HWY_MAX(HWY_MIN(values[i], 65504.0f), -65504.0f));
#else
  const RowFloats d;
  const hn::Rebind<hwy::float16_t, RowFloats> dh;
  const auto most = hn::Set(d, 65504.0f), least = hn::Set(d, -65504.0f);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto clamped = hn::Max(hn::Min(hn::LoadU(d, values + i), most), least);
    hn::StoreU(hn::DemoteTo(dh, clamped), dh, reinterpret_cast<hwy::float16_t*>(out + i));
  }
#endif
}

template <class Input>
void quantize_block(const float* HWY_RESTRICT x, void* out, float& scale, int32_t& sum) {
  const RowFloats d;
  const hn::RebindToSigned<RowFloats> di;
  const hn::Rebind<Input, RowFloats> dn;
  auto most = hn::Zero(d);
  for (size_t i = 0; i < kBlockInputs; i += hn::Lanes(d)) most = hn::Max(most, hn::Abs(hn::LoadU(d, x + i)));
  const float largest = hn::GetLane(hn::MaxOfLanes(d, most));
  const bool is_zero = largest < kQ8Least;
  scale = is_zero ? 0.0f : largest / 127.0f;
  const auto inverse = hn::Set(d, is_zero ? 0.0f : 127.0f / largest);
  auto sums = hn::Zero(di);
  for (size_t i = 0; i < kBlockInputs; i += hn::Lanes(d)) {
    const auto rounded = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), inverse));
    sums = hn::Add(sums, rounded);
    hn::StoreU(hn::DemoteTo(dn, rounded), dn, static_cast<Input*>(out) + i);
  }
  if constexpr (sizeof(Input) == 2) {
    Input* const values = static_cast<Input*>(out);
    for (size_t i = 0; i < kBlockInputs; i += 4) {
      static_assert(wide_place(1) == 2 && wide_place(2) == 1);
      std::swap(values[i + 1], values[i + 2]);
    }
  }
  sum = -128 * hn::GetLane(hn::SumOfLanes(di, sums));
}

// 16 partial sums, whatever the width of a register, and then a tree.
HWY_INLINE float sum_of_16(const float* sums) {
  float s[8];
  for (size_t i = 0; i < 8; ++i) s[i] = sums[i] + sums[i + 8];
  return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
}

void rms_norm_row(const float* x, const float* gain, size_t n, float epsilon, float* out) {
  const RowFloats d;
  const size_t n_lanes = hn::Lanes(d), n_sums = 16 / n_lanes;
  hn::Vec<RowFloats> sums[16 / hn::MaxLanes(RowFloats())];
  for (size_t j = 0; j < n_sums; ++j) sums[j] = hn::Zero(d);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (size_t j = 0; j < n_sums; ++j) {
      const auto v = hn::LoadU(d, x + i + j * n_lanes);
      sums[j] = hn::MulAdd(v, v, sums[j]);
    }
  }
  float partial[16];
  for (size_t j = 0; j < n_sums; ++j) hn::StoreU(sums[j], d, partial + j * n_lanes);
  for (; i < n; ++i) partial[i % 16] = partial[i % 16] + x[i] * x[i];
  const float scale = 1.0f / std::sqrt(sum_of_16(partial) / static_cast<float>(n) + epsilon);
  const auto scales = hn::Set(d, scale);
  i = 0;
  for (; i + n_lanes <= n; i += n_lanes) {
    hn::StoreU(hn::Mul(hn::Mul(hn::LoadU(d, x + i), scales), hn::LoadU(d, gain + i)), d, out + i);
  }
  for (; i < n; ++i) out[i] = x[i] * scale * gain[i];
}

// e^x for x <= 88, within two units of the last place; e^-86 for all x below -86. In half the instructions of
// a function for all floats. The polynomial is that of Cephes' expf, over half of ln 2 to either side of 0.
HWY_INLINE hn::Vec<RowFloats> exp_of(hn::Vec<RowFloats> x) {
  const RowFloats d;
  const hn::RebindToSigned<RowFloats> di;
  x = hn::Max(hn::Set(d, -86.0f), x);            // in this order, a NaN stays one
  const auto rounder = hn::Set(d, 12582912.0f);  // 1.5 * 2^23: pushes the fraction out of a float
  const auto shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), rounder);
  const auto n = hn::Sub(shifted, rounder);
  auto f = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  f = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), f);
  auto p = hn::MulAdd(hn::Set(d, 1.9875691500e-4f), f, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.0000001201e-1f));
  p = hn::Add(hn::MulAdd(p, hn::Mul(f, f), f), hn::Set(d, 1.0f));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
}

void silu_gate_row(const float* gate, const float* up, size_t n, float* out) {
  const RowFloats d;
  const auto one = hn::Set(d, 1.0f), least = hn::Set(d, -88.0f);
  const auto some = [&](auto g, auto u) HWY_ATTR {
    const auto gated = hn::Div(g, hn::Add(one, exp_of(hn::Neg(g))));
    return hn::Mul(hn::IfThenZeroElse(hn::Lt(g, least), gated), u);
  };
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    hn::StoreU(some(hn::LoadU(d, gate + i), hn::LoadU(d, up + i)), d, out + i);
  }
  if (i == n) return;
  float g[16] = {}, u[16] = {};
  for (size_t j = i; j < n; ++j) g[j - i] = gate[j], u[j - i] = up[j];
  hn::StoreU(some(hn::LoadU(d, g), hn::LoadU(d, u)), d, g);
  for (size_t j = i; j < n; ++j) out[j] = g[j - i];
}

float softmax_row(float* scores, size_t stride, size_t n_blocks, size_t n_seen, float scale) {
  const RowFloats d;
  constexpr size_t kPerBlock = 32 / hn::MaxLanes(RowFloats());
  // Whole blocks, and one that is seen in part.
  const size_t n_whole = n_seen / 32, n_rest = n_seen % 32;
  float* const rest = scores + n_whole * stride;
  auto most = hn::Set(d, scores[0]);
  for (size_t b = 0; b < n_whole; ++b) {
    for (size_t j = 0; j < kPerBlock; ++j) {
      most = hn::Max(most, hn::LoadU(d, scores + b * stride + j * hn::Lanes(d)));
    }
  }
  float largest = hn::GetLane(hn::MaxOfLanes(d, most));
  for (size_t i = 0; i < n_rest; ++i) largest = rest[i] > largest ? rest[i] : largest;

  const auto scales = hn::Set(d, scale), offset = hn::Set(d, -largest * scale);
  hn::Vec<RowFloats> sums[kPerBlock];
  for (size_t j = 0; j < kPerBlock; ++j) sums[j] = hn::Zero(d);
  for (size_t b = 0; b < n_whole; ++b) {
    for (size_t j = 0; j < kPerBlock; ++j) {
      float* const at = scores + b * stride + j * hn::Lanes(d);
      const auto e = exp_of(hn::MulAdd(hn::LoadU(d, at), scales, offset));
      hn::StoreU(e, d, at);
      sums[j] = hn::Add(sums[j], e);
    }
  }
  if (n_rest > 0) {
    for (size_t j = 0; j < kPerBlock; ++j) {
      float* const at = rest + j * hn::Lanes(d);
      const size_t first = j * hn::Lanes(d), n = n_rest > first ? HWY_MIN(n_rest - first, hn::Lanes(d)) : 0;
      const auto e = exp_of(hn::MulAdd(hn::LoadU(d, at), scales, offset));
      const auto seen = hn::IfThenElseZero(hn::FirstN(d, n), e);
      hn::StoreU(seen, d, at);
      sums[j] = hn::Add(sums[j], seen);
    }
  }
  for (size_t b = n_whole + (n_rest > 0 ? 1 : 0); b < n_blocks; ++b) {
    for (size_t i = 0; i < 32; i += hn::Lanes(d)) hn::StoreU(hn::Zero(d), d, scores + b * stride + i);
  }
  float partial[32];
  for (size_t j = 0; j < kPerBlock; ++j) hn::StoreU(sums[j], d, partial + j * hn::Lanes(d));
  for (size_t i = 0; i < 16; ++i) partial[i] += partial[i + 16];
  return sum_of_16(partial);
}

void turn_pairs(float* HWY_RESTRICT low, float* HWY_RESTRICT high, const float* HWY_RESTRICT cosines,
                const float* HWY_RESTRICT sines, size_t n) {
  const RowFloats d;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const auto a = hn::LoadU(d, low + i), b = hn::LoadU(d, high + i);
    const auto cosine = hn::LoadU(d, cosines + i), sine = hn::LoadU(d, sines + i);
    hn::StoreU(hn::Sub(hn::Mul(a, cosine), hn::Mul(b, sine)), d, low + i);
    hn::StoreU(hn::Add(hn::Mul(b, cosine), hn::Mul(a, sine)), d, high + i);
  }
  for (; i < n; ++i) {
    const float a = low[i], b = high[i];
    low[i] = a * cosines[i] - b * sines[i];
    high[i] = b * cosines[i] + a * sines[i];
  }
}

}  // namespace tandem::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
