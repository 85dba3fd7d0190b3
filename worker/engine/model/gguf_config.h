// The shape of a model from the metadata of a GGUF file.

#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "shared/base/result.h"
#include "worker/engine/model/model.h"
#include "worker/engine/tensor/gguf.h"

namespace tandem::engine {

// As read_model_config() for a folder: kNotFound, kCorrupt for a broken file, a key that is missing or cannot
// be, kUnsupported for an architecture that is not in `supported` or that scales rope; each with path, key,
// expected and found.
//
// llama.cpp's names: "qwen2" is Qwen2ForCausalLM, "qwen3" Qwen3ForCausalLM; numbers under "<architecture>.".
// The vocabulary is as large as the embedding; a file without output.weight has tied embeddings. End tokens
// are the file's eos and eot, and its control tokens spelled <|im_end|> or <|endoftext|>, as
// generation_config.json has them and llama.cpp does it.
Result<ModelConfig> read_gguf_config(const std::filesystem::path& path,
                                     std::span<const std::string_view> supported);
// The same from a file that is read already; errors without its path.
Result<ModelConfig> gguf_model_config(const GgufFile& file, std::span<const std::string_view> supported);

}  // namespace tandem::engine
