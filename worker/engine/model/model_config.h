// config.json and generation_config.json of a Hugging Face folder, or the metadata of a GGUF file.

#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "shared/base/result.h"
#include "worker/engine/model/model.h"

namespace tandem::engine {

// Reads and checks the shape of a model. Keys that do not change what is computed are passed over.
//
// kNotFound without config.json; kCorrupt for broken JSON, a missing key, a wrong type or a number that
// cannot be (each named, with what was expected and found); kUnsupported for an architecture that is not in
// `supported`, an activation other than silu, a sliding window, scaled rope or quantised weights. The rope
// base may be `rope_theta` or lie in `rope_parameters`, as newer writers have it. Where `folder` means a GGUF
// file (gguf_file_of()), gguf_config.h says what is read.
Result<ModelConfig> read_model_config(const std::filesystem::path& folder,
                                      std::span<const std::string_view> supported);

}  // namespace tandem::engine
