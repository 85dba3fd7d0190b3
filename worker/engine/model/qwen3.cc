// Qwen3 (dense): heads of q and k are normalised before rope, no biases, and the size of a head is in the
// config.

#include "worker/engine/model/make_model.h"

namespace tandem::engine {

Result<std::unique_ptr<Model>> make_qwen3(Decoder::Parts parts) {
  if (parts.config.attention_bias) {
    return fail(ErrorCode::kUnsupported, (parts.checkpoint->folder() / "config.json").string() +
                                             ": 'attention_bias': supported is false for Qwen3, found true");
  }
  return Decoder::load(std::move(parts), {.qkv_bias = false, .qk_norm = true});
}

}  // namespace tandem::engine
