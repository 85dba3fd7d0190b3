// Model folders with random weights in a real model's exact shape: to measure a machine before downloading
// anything. What such a model says means nothing.

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"

namespace tandem::engine {

// The names that write_random_model() knows, such as "qwen1.5-0.5b", smallest first.
std::vector<std::string_view> random_model_names();

// Called after each tensor, with bytes of weights.
using RandomModelProgress = std::function<void(uint64_t n_bytes_done, uint64_t n_bytes_all)>;

// Writes a Hugging Face folder with config.json, generation_config.json, tokenizer.json,
// tokenizer_config.json and bf16 safetensors (in shards of at most 4 GB where the model is larger, as real
// ones are). Tensors are named and shaped as in the real model. Needs memory for one piece of a tensor,
// whatever the model's size.
//
// The same name and seed give the same bytes on every machine. Values are nearly normal (a sum of four
// uniform ones) and scaled so that activations stay in the range of a trained model's: logits have a standard
// deviation of about 3. The tokenizer has the 256 bytes as tokens and the special tokens at their real ids,
// so texts are longer in tokens than with the real one.
//
// kNotFound for another name (says which there are), kExists when `folder` holds a config.json already, kIo.
Result<void> write_random_model(const std::string& like, uint64_t seed, const std::filesystem::path& folder,
                                const RandomModelProgress& progress = {});

}  // namespace tandem::engine
