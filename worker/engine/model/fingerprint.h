// The name under which everything computed by a model is cached.

#pragma once

#include <string>
#include <string_view>

#include "worker/engine/model/model.h"
#include "worker/engine/tensor/checkpoint.h"

namespace tandem::engine {

// 32 hex digits over, in this order: a version of this list; `compute_type` ("f32"); architecture and all
// numbers of the config except end tokens (they end a text, they do not change logits); for each tensor by
// name: name, type, shape, number of bytes, and its first and last 4 KiB.
//
// Not covered: what lies in the middle of a tensor of more than 8 KiB. Training moves every value, so two
// models differ at the ends, too; somebody who edits single weights in the middle must change something else
// as well. Reading everything would cost seconds at each start. The names of folder and files do not count,
// so a copy and a resharded checkpoint have the same fingerprint.
std::string model_fingerprint(const ModelConfig& config, const Checkpoint& checkpoint,
                              std::string_view compute_type);

}  // namespace tandem::engine
