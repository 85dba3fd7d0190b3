#include "tests/engine/support/gguf_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "shared/base/assert.h"
#include "shared/base/file.h"
#include "tests/engine/support/golden.h"
#include "tests/engine/support/model_copy.h"
#include "worker/engine/tensor/checkpoint.h"
#include "worker/engine/tensor/element_type.h"

namespace tandem::testing {
namespace {

using Json = nlohmann::ordered_json;
constexpr size_t kBlock = 32, kAlignment = 32;

template <typename T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string text_bytes(std::string_view text) {
  return bytes_of(uint64_t{text.size()}) + std::string(text);
}
void pad(std::string& bytes, size_t alignment) {
  bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
}

// The nearest f16; values of tests are far from its ends.
uint16_t to_f16(float value) {
  uint16_t best = 0;
  int exponent = 0;
  const double magnitude = std::fabs(double{value});
  std::frexp(magnitude, &exponent);  // magnitude in [2^(exponent - 1), 2^exponent)
  const int scale = std::max(exponent - 1, -14) - 10;
  const auto units = static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, -scale)));  // up to 2048
  const auto biased = static_cast<uint32_t>(scale + 10 + 15);
  best = static_cast<uint16_t>(units < 1024 ? units : (biased << 10) + (units - 1024));
  return static_cast<uint16_t>(best | (std::signbit(value) ? 0x8000u : 0u));
}

std::string block_q8_0(std::span<const float> x) {
  float largest = 0;
  for (const float value : x) largest = std::max(largest, std::fabs(value));
  const uint16_t scale = to_f16(largest / 127);
  const float d = engine::widen_f16(scale);
  std::string out = bytes_of(scale);
  for (const float value : x) {
    const float q = d == 0 ? 0 : std::nearbyint(value / d);
    out += static_cast<char>(static_cast<int8_t>(std::clamp(q, -127.0f, 127.0f)));
  }
  return out;
}

std::string block_q4_0(std::span<const float> x) {
  float largest = 0;
  for (const float value : x) {
    if (std::fabs(value) > std::fabs(largest)) largest = value;
  }
  const uint16_t scale = to_f16(largest / -8);
  const float d = engine::widen_f16(scale);
  const auto q = [&](float value) {
    return d == 0 ? 8u : static_cast<uint32_t>(std::clamp(value / d + 8.5f, 0.0f, 15.0f));
  };
  std::string out = bytes_of(scale);
  for (size_t i = 0; i < kBlock / 2; ++i) out += static_cast<char>(q(x[i]) | q(x[i + kBlock / 2]) << 4);
  return out;
}

std::string gguf_name(std::string name) {
  static const std::pair<const char*, const char*> kNames[] = {{"model.embed_tokens", "token_embd"},
                                                               {"model.norm", "output_norm"},
                                                               {"lm_head", "output"},
                                                               {"model.layers.", "blk."},
                                                               {"input_layernorm", "attn_norm"},
                                                               {"post_attention_layernorm", "ffn_norm"},
                                                               {"self_attn.q_proj", "attn_q"},
                                                               {"self_attn.k_proj", "attn_k"},
                                                               {"self_attn.v_proj", "attn_v"},
                                                               {"self_attn.o_proj", "attn_output"},
                                                               {"self_attn.q_norm", "attn_q_norm"},
                                                               {"self_attn.k_norm", "attn_k_norm"},
                                                               {"mlp.gate_proj", "ffn_gate"},
                                                               {"mlp.up_proj", "ffn_up"},
                                                               {"mlp.down_proj", "ffn_down"}};
  for (const auto& [from, to] : kNames) {
    if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, std::strlen(from), to);
  }
  return name;
}

void write_config(GgufWriter& write, const Json& config) {
  const std::string architecture = config["model_type"];
  const auto number = [&](const std::string& key, const char* from) {
    write.number(architecture + "." + key, config[from].get<uint32_t>());
  };
  write.text("general.architecture", architecture).text("general.name", "tiny");
  number("block_count", "num_hidden_layers");
  number("context_length", "max_position_embeddings");
  number("embedding_length", "hidden_size");
  number("feed_forward_length", "intermediate_size");
  number("attention.head_count", "num_attention_heads");
  number("attention.head_count_kv", "num_key_value_heads");
  if (config.contains("head_dim")) {
    number("attention.key_length", "head_dim");
    number("attention.value_length", "head_dim");
  }
  write.real(architecture + ".rope.freq_base", config["rope_theta"].get<float>());
  write.real(architecture + ".attention.layer_norm_rms_epsilon", config["rms_norm_eps"].get<float>());
}

void write_tokenizer(GgufWriter& write, const std::string& folder, size_t n_vocab) {
  const auto read = [&](const char* name) { return Json::parse(must(read_file(folder + name, 64u << 20))); };
  const Json file = read("/tokenizer.json"), config = read("/tokenizer_config.json");
  std::vector<std::string> tokens(n_vocab), merges;
  std::vector<int32_t> types(n_vocab, 5);
  for (size_t i = 0; i < n_vocab; ++i) tokens[i] = "[PAD" + std::to_string(i) + "]";
  for (const auto& [token, id] : file["model"]["vocab"].items()) {
    tokens[id.get<size_t>()] = token;
    types[id.get<size_t>()] = 1;
  }
  for (const Json& token : file["added_tokens"]) {
    tokens[token["id"].get<size_t>()] = token["content"];
    types[token["id"].get<size_t>()] = token["special"] == true ? 3 : 4;
    if (token["content"] == config["eos_token"]) {
      write.number("tokenizer.ggml.eos_token_id", token["id"].get<uint32_t>());
    }
  }
  for (const Json& merge : file["model"]["merges"]) {
    merges.push_back(merge.is_string() ? merge.get<std::string>()
                                       : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  write.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "qwen2");
  write.texts("tokenizer.ggml.tokens", tokens).integers("tokenizer.ggml.token_type", types);
  write.texts("tokenizer.ggml.merges", merges).flag("tokenizer.ggml.add_bos_token", false);
  write.text("tokenizer.chat_template", config["chat_template"].get<std::string>());
}

}  // namespace

GgufWriter& GgufWriter::key(std::string_view key, uint32_t type) {
  keys_ += text_bytes(key) + bytes_of(type);
  ++n_keys_;
  return *this;
}
GgufWriter& GgufWriter::raw(std::string_view name, uint32_t type, std::string_view bytes) {
  key(name, type);
  keys_ += bytes;
  return *this;
}
GgufWriter& GgufWriter::number(std::string_view name, uint32_t value) {
  return raw(name, 4, bytes_of(value));
}
GgufWriter& GgufWriter::real(std::string_view name, float value) {
  return raw(name, 6, bytes_of(value));
}
GgufWriter& GgufWriter::flag(std::string_view name, bool value) {
  return raw(name, 7, value ? std::string("\1", 1) : std::string("\0", 1));
}
GgufWriter& GgufWriter::text(std::string_view name, std::string_view value) {
  return raw(name, 8, text_bytes(value));
}
GgufWriter& GgufWriter::texts(std::string_view name, const std::vector<std::string>& values) {
  raw(name, 9, bytes_of(uint32_t{8}) + bytes_of(uint64_t{values.size()}));
  for (const std::string& value : values) keys_ += text_bytes(value);
  return *this;
}
GgufWriter& GgufWriter::integers(std::string_view name, const std::vector<int32_t>& values) {
  raw(name, 9, bytes_of(uint32_t{5}) + bytes_of(uint64_t{values.size()}));
  for (const int32_t value : values) keys_ += bytes_of(value);
  return *this;
}

GgufWriter& GgufWriter::tensor_at(uint64_t offset, std::string_view name, uint32_t type,
                                  const std::vector<uint64_t>& shape) {
  tensors_ += text_bytes(name) + bytes_of(static_cast<uint32_t>(shape.size()));
  for (auto size = shape.rbegin(); size != shape.rend(); ++size) tensors_ += bytes_of(*size);
  tensors_ += bytes_of(type) + bytes_of(offset);
  ++n_tensors_;
  return *this;
}
GgufWriter& GgufWriter::tensor(std::string_view name, uint32_t type, const std::vector<uint64_t>& shape,
                               std::string_view bytes) {
  pad(data_, kAlignment);
  tensor_at(data_.size(), name, type, shape);
  data_ += bytes;
  return *this;
}

std::string GgufWriter::file(uint32_t version, size_t alignment) const {
  std::string out = "GGUF" + bytes_of(version) + bytes_of(n_tensors_) + bytes_of(n_keys_) + keys_ + tensors_;
  pad(out, alignment);
  return out + data_;
}

uint32_t gguf_type(std::string_view type) {
  static const std::map<std::string_view, uint32_t> kTypes = {
      {"F32", 0}, {"F16", 1}, {"BF16", 30}, {"Q8_0", 8}, {"Q4_0", 2}};
  return kTypes.at(type);
}

std::string stored_as(std::string_view type, std::span<const float> values) {
  std::string out;
  if (type == "Q8_0" || type == "Q4_0") {
    for (size_t i = 0; i < values.size(); i += kBlock) {
      out += type == "Q8_0" ? block_q8_0(values.subspan(i, kBlock)) : block_q4_0(values.subspan(i, kBlock));
    }
    return out;
  }
  for (const float value : values) {
    out += type == "F32"   ? bytes_of(value)
           : type == "F16" ? bytes_of(to_f16(value))
                           : bytes_of(engine::narrow_bf16(value));
  }
  return out;
}

GgufAndTwin gguf_and_twin(const std::string& model, const std::string& type) {
  const std::string folder = kGoldenModels + model;
  const Json config = Json::parse(must(read_file(folder + "/config.json", 1u << 20)));
  GgufWriter write;
  write_config(write, config);
  write_tokenizer(write, folder, config["vocab_size"]);

  const auto checkpoint = must(engine::Checkpoint::open(folder));
  Json header;
  std::string data;
  for (const auto& [name, entry] : checkpoint.tensors()) {
    if (name == "lm_head.weight" && config["tie_word_embeddings"] == true) continue;
    const engine::StoredTensor& tensor = entry.tensor;
    std::vector<float> values(tensor.bytes.size() / engine::element_bytes(tensor.type));
    engine::widen(engine::element_type_from(tensor.type), tensor.bytes.data(), values);
    const bool blocks = type.starts_with("Q"), fits = tensor.shape.back() % kBlock == 0;
    const std::string stored_type = tensor.shape.size() == 1 ? "F32" : blocks && !fits ? "F16" : type;
    const std::string stored = stored_as(stored_type, values);
    write.tensor(gguf_name(name), gguf_type(stored_type), tensor.shape, stored);

    engine::widen(engine::element_type_from(stored_type), reinterpret_cast<const std::byte*>(stored.data()),
                  values);
    const size_t begin = data.size();
    for (const float value : values) data += bytes_of(value);
    header[name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  std::string header_text = header.dump();
  header_text.resize((header_text.size() + 7) / 8 * 8, ' ');
  return {write.file(), safetensors_file(header_text, data)};
}

}  // namespace tandem::testing
