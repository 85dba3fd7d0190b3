// The name under which everything computed by a model is cached.

#pragma once

#include <string>
#include <string_view>

#include "shared/base/hash.h"
#include "worker/engine/model/model.h"
#include "worker/engine/tensor/checkpoint.h"

namespace tandem::engine {

// 32 hex digits over, in this order: a version of this list; `compute_type` ("f32"); architecture and all
// numbers of the config except end tokens (they end a text, they do not change logits); and all tensors.
// The names of folder and files do not count, so a copy and a resharded checkpoint have the same fingerprint.
std::string model_fingerprint(const ModelConfig& config, const Checkpoint& checkpoint,
                              std::string_view compute_type);

// The fingerprint of the same model with one more thing that its answers depend on.
std::string fingerprint_with(const std::string& fingerprint, std::string_view what);

// Adds each tensor by name: name, type, shape, number of bytes, and the hash of every 4 MiB of it. All bytes
// are read, by one thread for each usable core, so one changed weight anywhere is another model: about 0.1 s
// for each GB in the page cache, beside packing, which reads them again. (The alternatives: sampling lets
// single changed weights through; a digest kept in a file beside path, size and time believes a clock.) Pages
// that are read for this do not stay in the process.
void add_tensors(HashBuilder& hash, const Checkpoint& checkpoint);

}  // namespace tandem::engine
