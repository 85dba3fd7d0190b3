// The tokenizer files of a random model: every byte is a token, nothing is merged.

#pragma once

#include <cstddef>
#include <filesystem>

#include "shared/base/result.h"

namespace tandem::engine {

// Writes tokenizer.json (byte-level BPE with Qwen's split pattern: the 256 bytes, then words that fill the
// ids up to the special tokens; <|endoftext|>, <|im_start|>
// and
// <|im_end|> at `first_special_id` and the two ids after it) and tokenizer_config.json with Qwen1.5's ChatML
// template. kIo, with the path.
Result<void> write_random_tokenizer(const std::filesystem::path& folder, int first_special_id,
                                    size_t n_positions_max);

}  // namespace tandem::engine
