// The list of architectures.

#pragma once

#include <span>
#include <string_view>

#include "worker/engine/model/decoder.h"

namespace tandem::engine {

// A model of `parts.config.architecture`, which is one of the supported ones.
Result<std::unique_ptr<Model>> make_model(Decoder::Parts parts);

// As config.json spells them.
std::span<const std::string_view> supported_architectures();

// One file each: worker/engine/model/<name>.cc.
Result<std::unique_ptr<Model>> make_qwen2(Decoder::Parts parts);
Result<std::unique_ptr<Model>> make_qwen3(Decoder::Parts parts);

}  // namespace tandem::engine
