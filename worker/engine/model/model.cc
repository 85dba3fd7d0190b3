#include "worker/engine/model/model.h"

#include "shared/base/assert.h"
#include "worker/engine/model/make_model.h"
#include "worker/engine/model/model_config.h"

namespace tandem::engine {

Result<std::unique_ptr<Model>> Model::load(const std::filesystem::path& folder, const ModelOptions& options) {
  Decoder::Parts parts;
  TANDEM_ASSIGN(parts.config, read_model_config(folder, supported_architectures()));
  TANDEM_ASSIGN(Checkpoint checkpoint, Checkpoint::open(folder));
  parts.checkpoint = std::make_unique<Checkpoint>(std::move(checkpoint));
  parts.options = options;
  return make_model(std::move(parts));
}

Model::~Model() = default;

KvShape Model::kv_shape(KvType type) const {
  return {config().n_layers, config().n_kv_heads, config().d_head, type};
}

void Model::advance(KvSequence& sequence, size_t n_tokens) {
  sequence.n_tokens_ += n_tokens;
  TANDEM_ASSERT(sequence.n_tokens_ <= sequence.blocks_.size() * kBlockTokens,
                "there was room for the tokens");
}

}  // namespace tandem::engine
