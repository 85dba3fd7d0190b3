// The tokenizer in the metadata of a GGUF file.

#pragma once

#include <string>

#include "shared/base/result.h"
#include "worker/engine/tensor/gguf.h"
#include "worker/engine/tokenizer/vocabulary.h"

namespace tandem::engine {

// Reads tokenizer.ggml.*: model "gpt2" with pre "qwen2" (byte-level BPE, Qwen's split pattern, NFC), tokens,
// merges and token_type. Tokens at the end that are marked unused fill up the model's vocabulary and are left
// out. A control token is special; a user-defined one is found in texts and shown.
//
// kCorrupt: a key missing or of another type, lists of different lengths, what place_vocabulary() refuses.
// kUnsupported: another model, pre-tokenizer or kind of token, or a token put at the start or end of every
// text.
Result<TokenizerFile> read_gguf_tokenizer(const GgufFile& gguf);

// A hash over all of that, hex.
std::string gguf_tokenizer_fingerprint(const GgufFile& gguf);

}  // namespace tandem::engine
