// What llama.cpp calls the tensors of a decoder.

#pragma once

#include <string>
#include <string_view>

namespace tandem::engine {

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight", as Hugging Face folders of Qwen2 and
// Qwen3 have it; another name stays as it is. Rows of q and k are in the same order in both: llama.cpp's
// converter turns them for Llama, not for these.
std::string hugging_face_name(std::string_view gguf_name);

}  // namespace tandem::engine
