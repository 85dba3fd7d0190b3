// Qwen1.5, Qwen2 and Qwen2.5: biases on q, k and v, and on nothing else.

#include "worker/engine/model/make_model.h"

namespace tandem::engine {

Result<std::unique_ptr<Model>> make_qwen2(Decoder::Parts parts) {
  return Decoder::load(std::move(parts), {.qkv_bias = true, .qk_norm = false});
}

}  // namespace tandem::engine
