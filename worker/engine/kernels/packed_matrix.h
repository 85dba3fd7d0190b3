// Weights in the order in which the tiles read them: packed once, at load.
//
//   panels of 32 outputs, one after the other; in a panel, blocks of 128 inputs, one after the other
//
//   f32   float    [128][32]
//   bf16  uint32_t [128][16]   output o in the low half of word o, output o + 16 in the high half
//   q8    Q8Block: 8-bit integers and a scale for each output
//
// Outputs and inputs that are not there are zeros.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "worker/engine/kernels/simd.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/tensor/view.h"

namespace tandem::engine {

// How weights are kept and products computed. Activations between the products are float in all of them.
enum class ComputeType : uint8_t {
  kF32,   // weights and sums in float: the reference
  kBf16,  // weights rounded to bf16 (as most checkpoints are), everything else as in f32
  kQ8,    // weights and inputs of products as 8-bit integers with a scale for each 128 inputs
};
std::string_view name_of(ComputeType type);  // "f32", "bf16", "q8"

// A view: the memory belongs to somebody else, begins at a multiple of 64 bytes and is immutable.
struct PackedMatrix {
  ComputeType type = ComputeType::kF32;
  size_t n_outputs = 0;
  size_t n_inputs = 0;
  const std::byte* data = nullptr;

  static size_t block_bytes(ComputeType type);
  size_t n_panels() const { return (n_outputs + kPanelOutputs - 1) / kPanelOutputs; }
  size_t n_blocks() const { return (n_inputs + kBlockInputs - 1) / kBlockInputs; }
  size_t n_bytes() const { return n_panels() * n_blocks() * block_bytes(type); }
  const std::byte* block(size_t panel, size_t block) const {
    return data + (panel * n_blocks() + block) * block_bytes(type);
  }

  // The weights of one output as floats: what a lookup in an embedding table is. out[n_inputs].
  void unpack(size_t output, std::span<float> out) const;
};

// Gives the weights of output `o` into row[n_inputs]; called from several threads. An output that should be
// zero leaves the row as it is.
using RowSource = std::function<void(size_t output, std::span<float> row)>;

// Packs matrix.n_outputs rows into `to`, which has room for matrix.n_bytes(). q8 scales are largest magnitude
// / 127 of each block; bf16 is rounded to nearest even.
void pack(ThreadPool& pool, const PackedMatrix& matrix, const RowSource& source, std::byte* to);

// Makes `to` the matrix of the given outputs of `from`, in that order: bit for bit the same weights. For the
// few logits that a label needs.
void pack_outputs(const PackedMatrix& from, std::span<const int32_t> outputs, std::byte* to);

}  // namespace tandem::engine
