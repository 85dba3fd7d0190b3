#include "worker/engine/tensor/gguf_names.h"

#include <algorithm>
#include <utility>

namespace tandem::engine {
namespace {

constexpr std::pair<std::string_view, std::string_view> kWhole[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
};

// Between "blk.<n>." and ".weight" or ".bias".
constexpr std::pair<std::string_view, std::string_view> kInLayer[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
    {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

}  // namespace

std::string hugging_face_name(std::string_view name) {
  for (const auto& [gguf, hugging_face] : kWhole) {
    if (name == gguf) return std::string(hugging_face);
  }
  constexpr std::string_view kLayer = "blk.";
  const size_t dot = name.find('.', kLayer.size()), last_dot = name.rfind('.');
  if (!name.starts_with(kLayer) || dot == std::string_view::npos || last_dot <= dot) return std::string(name);
  const std::string_view number = name.substr(kLayer.size(), dot - kLayer.size());
  const bool is_number = !number.empty() && number.find_first_not_of("0123456789") == std::string_view::npos;
  const std::string_view part = name.substr(dot + 1, last_dot - dot - 1);
  for (const auto& [gguf, hugging_face] : kInLayer) {
    if (!is_number || part != gguf) continue;
    return "model.layers." + std::string(number) + "." + std::string(hugging_face) +
           std::string(name.substr(last_dot));
  }
  return std::string(name);
}

}  // namespace tandem::engine
