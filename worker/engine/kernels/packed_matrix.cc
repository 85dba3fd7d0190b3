#include "worker/engine/kernels/packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "shared/base/assert.h"
#include "worker/engine/tensor/element_type.h"

namespace tandem::engine {
namespace {

constexpr size_t kHalf = kPanelOutputs / 2;

// rows[o] has n inputs of a block, at most 128; the rest of the block is zeros.
void pack_f32(const float* rows, size_t stride, size_t n, std::byte* to) {
  float* out = reinterpret_cast<float*>(to);
  for (size_t i = 0; i < kBlockInputs; ++i) {
    for (size_t o = 0; o < kPanelOutputs; ++o)
      out[i * kPanelOutputs + o] = i < n ? rows[o * stride + i] : 0.0f;
  }
}

void pack_bf16(const float* rows, size_t stride, size_t n, std::byte* to) {
  uint32_t* out = reinterpret_cast<uint32_t*>(to);
  std::memset(to, 0, kBlockInputs * kHalf * sizeof(uint32_t));
  for (size_t i = 0; i < n; ++i) {
    for (size_t o = 0; o < kHalf; ++o) {
      const uint32_t low = narrow_bf16(rows[o * stride + i]);
      const uint32_t high = narrow_bf16(rows[(o + kHalf) * stride + i]);
      out[i * kHalf + o] = low | high << 16;
    }
  }
}

void pack_q8(const float* rows, size_t stride, size_t n, std::byte* to) {
  Q8Block& block = *reinterpret_cast<Q8Block*>(to);
  std::memset(block.values, 128, sizeof block.values);
  for (size_t o = 0; o < kPanelOutputs; ++o) {
    const float* row = rows + o * stride;
    float largest = 0;
    for (size_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(row[i]));
    const bool is_zero = largest < kQ8Least;
    block.scales[o] = is_zero ? 0.0f : largest / 127.0f;
    const float inverse = is_zero ? 0.0f : 127.0f / largest;
    for (size_t i = 0; i < n; ++i) {
      block.values[i / 4][o][i % 4] =
          static_cast<uint8_t>(128 + static_cast<int>(std::nearbyint(row[i] * inverse)));
    }
  }
}

void pack_block(ComputeType type, const float* rows, size_t stride, size_t n, std::byte* to) {
  switch (type) {
    case ComputeType::kF32:
      return pack_f32(rows, stride, n, to);
    case ComputeType::kBf16:
      return pack_bf16(rows, stride, n, to);
    case ComputeType::kQ8:
      return pack_q8(rows, stride, n, to);
  }
}

uint16_t& bf16_place(std::byte* block, size_t input, size_t output) {
  uint16_t* halves = reinterpret_cast<uint16_t*>(block);
  return halves[(input * kHalf + output % kHalf) * 2 + output / kHalf];
}

}  // namespace

std::string_view name_of(ComputeType type) {
  switch (type) {
    case ComputeType::kF32:
      return "f32";
    case ComputeType::kBf16:
      return "bf16";
    case ComputeType::kQ8:
      return "q8";
  }
  return "?";
}

size_t PackedMatrix::block_bytes(ComputeType type) {
  switch (type) {
    case ComputeType::kF32:
      return kBlockInputs * kPanelOutputs * sizeof(float);
    case ComputeType::kBf16:
      return kBlockInputs * kPanelOutputs * sizeof(uint16_t);
    case ComputeType::kQ8:
      return sizeof(Q8Block);
  }
  return 0;
}

void PackedMatrix::unpack(size_t output, std::span<float> out) const {
  TANDEM_ASSERT(output < n_outputs && out.size() == n_inputs,
                "an output of this matrix, with all its inputs");
  const size_t o = output % kPanelOutputs;
  for (size_t i = 0; i < n_inputs; ++i) {
    std::byte* from = const_cast<std::byte*>(block(output / kPanelOutputs, i / kBlockInputs));
    const size_t input = i % kBlockInputs;
    switch (type) {
      case ComputeType::kF32:
        out[i] = reinterpret_cast<const float*>(from)[input * kPanelOutputs + o];
        break;
      case ComputeType::kBf16:
        out[i] = widen_bf16(bf16_place(from, input, o));
        break;
      case ComputeType::kQ8: {
        const Q8Block& q8 = *reinterpret_cast<const Q8Block*>(from);
        out[i] = static_cast<float>(q8.values[input / 4][o][input % 4] - 128) * q8.scales[o];
        break;
      }
    }
  }
}

void pack(ThreadPool& pool, const PackedMatrix& matrix, const RowSource& source, std::byte* to) {
  const size_t n_inputs = matrix.n_inputs, n_blocks = matrix.n_blocks();
  const size_t n_bytes = PackedMatrix::block_bytes(matrix.type);
  std::vector<std::vector<float>> rows_of(pool.n_threads());
  pool.run(matrix.n_panels(), [&](size_t panel, size_t thread) {
    std::vector<float>& rows = rows_of[thread];
    rows.assign(kPanelOutputs * n_inputs, 0.0f);
    const size_t first = panel * kPanelOutputs;
    for (size_t o = 0; o < std::min(kPanelOutputs, matrix.n_outputs - first); ++o) {
      source(first + o, std::span(rows).subspan(o * n_inputs, n_inputs));
    }
    for (size_t b = 0; b < n_blocks; ++b) {
      pack_block(matrix.type, rows.data() + b * kBlockInputs, n_inputs,
                 std::min(kBlockInputs, n_inputs - b * kBlockInputs), to + (panel * n_blocks + b) * n_bytes);
    }
  });
}

void pack_outputs(const PackedMatrix& from, std::span<const int32_t> outputs, std::byte* to) {
  const size_t n_blocks = from.n_blocks(), n_bytes = PackedMatrix::block_bytes(from.type);
  std::memset(to, 0, (outputs.size() + kPanelOutputs - 1) / kPanelOutputs * n_blocks * n_bytes);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const size_t output = static_cast<size_t>(outputs[i]);
    TANDEM_ASSERT(output < from.n_outputs, "an output of this matrix");
    const size_t source = output % kPanelOutputs, place = i % kPanelOutputs;
    for (size_t b = 0; b < n_blocks; ++b) {
      std::byte* const old = const_cast<std::byte*>(from.block(output / kPanelOutputs, b));
      std::byte* const fresh = to + (i / kPanelOutputs * n_blocks + b) * n_bytes;
      for (size_t input = 0; input < kBlockInputs; ++input) {
        switch (from.type) {
          case ComputeType::kF32:
            reinterpret_cast<float*>(fresh)[input * kPanelOutputs + place] =
                reinterpret_cast<const float*>(old)[input * kPanelOutputs + source];
            break;
          case ComputeType::kBf16:
            bf16_place(fresh, input, place) = bf16_place(old, input, source);
            break;
          case ComputeType::kQ8:
            reinterpret_cast<Q8Block*>(fresh)->values[input / 4][place][input % 4] =
                reinterpret_cast<const Q8Block*>(old)->values[input / 4][source][input % 4];
            break;
        }
      }
      if (from.type == ComputeType::kQ8) {
        reinterpret_cast<Q8Block*>(fresh)->scales[place] =
            reinterpret_cast<const Q8Block*>(old)->scales[source];
      }
    }
  }
}

}  // namespace tandem::engine
