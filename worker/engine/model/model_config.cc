#include "worker/engine/model/model_config.h"

#include <nlohmann/json.hpp>

#include "worker/engine/model/gguf_config.h"
#include "worker/engine/model/json_file.h"
#include "worker/engine/tensor/gguf.h"

namespace tandem::engine {
namespace {

// Far above any real model, and low enough that no product of two of them overflows.
constexpr uint64_t kLayersMax = 4096, kHeadsMax = 4096, kHeadSizeMax = 4096, kWidthMax = 1u << 20,
                   kVocabMax = 1u << 24, kPositionsMax = 1u << 28;
constexpr size_t kEndTokensMax = 64;

using Json = JsonFile::Json;

void read_architecture(JsonFile& reader, std::span<const std::string_view> supported, ModelConfig& config) {
  std::string all;
  for (const std::string_view name : supported) all += (all.empty() ? "" : " or ") + std::string(name);
  const Json* names = reader.find("architectures");
  if (names == nullptr || !names->is_array() || names->size() != 1 || !names->front().is_string()) {
    return reader.mistake("architectures", "a list of one name (supported: " + all + ")", names);
  }
  config.architecture = names->front().get<std::string>();
  for (const std::string_view name : supported) {
    if (name == config.architecture) return;
  }
  reader.note(ErrorCode::kUnsupported,
              "expected architecture " + all + ", found " + JsonFile::shown(names->front()));
}

// What would change the computation in a way that nobody here has written.
void refuse_unsupported(JsonFile& reader) {
  const auto refuse = [&](const char* key, const char* supported, const Json& found) {
    reader.note(ErrorCode::kUnsupported, "'" + std::string(key) + "': supported is " + supported +
                                             ", found " + JsonFile::shown(found));
  };
  const Json* activation = reader.find("hidden_act");
  if (activation == nullptr) {
    reader.mistake("hidden_act", "\"silu\"", nullptr);
  } else if (*activation != "silu") {
    refuse("hidden_act", "\"silu\"", *activation);
  }
  if (reader.flag_or("use_sliding_window", false)) refuse("use_sliding_window", "false", true);
  if (const Json* scaling = reader.find("rope_scaling")) refuse("rope_scaling", "null", *scaling);
  if (const Json* rope = reader.find("rope_parameters"); rope != nullptr && rope->is_object()) {
    const auto type = rope->find("rope_type");
    if (type != rope->end() && *type != "default") refuse("rope_parameters", "rope_type \"default\"", *rope);
  }
  if (const Json* layers = reader.find("layer_types"); layers != nullptr && layers->is_array()) {
    for (const Json& layer : *layers) {
      if (layer != "full_attention") refuse("layer_types", "\"full_attention\" in every layer", layer);
    }
  }
  if (const Json* scheme = reader.find("quantization_config")) refuse("quantization_config", "none", *scheme);
}

void read_shape(JsonFile& reader, ModelConfig& config) {
  config.n_layers = reader.number("num_hidden_layers", 1, kLayersMax);
  config.d_model = reader.number("hidden_size", 1, kWidthMax);
  config.n_heads = reader.number("num_attention_heads", 1, kHeadsMax);
  config.n_kv_heads = reader.number_or("num_key_value_heads", 1, kHeadsMax, config.n_heads);
  config.d_ff = reader.number("intermediate_size", 1, kWidthMax);
  config.n_vocab = reader.number("vocab_size", 1, kVocabMax);
  config.n_positions_max = reader.number("max_position_embeddings", 1, kPositionsMax);
  config.rms_epsilon = reader.real(reader.find("rms_norm_eps"), "rms_norm_eps", 0, 1);
  config.tied_embedding = reader.flag_or("tie_word_embeddings", false);
  config.attention_bias = reader.flag_or("attention_bias", false);

  const Json* rope = reader.find("rope_parameters");
  const Json* theta = reader.find("rope_theta");
  if (theta == nullptr && rope != nullptr && rope->is_object() && rope->contains("rope_theta")) {
    theta = &(*rope)["rope_theta"];
  }
  config.rope_theta = reader.real(theta, "rope_theta", 1, 1e15);

  if (reader.find("head_dim") != nullptr) {
    config.d_head = reader.number("head_dim", 1, kHeadSizeMax);
  } else {
    config.d_head = config.d_model / config.n_heads;
    if (config.d_model % config.n_heads != 0) {
      reader.note(ErrorCode::kCorrupt, "expected num_attention_heads to divide hidden_size " +
                                           std::to_string(config.d_model) + ", found " +
                                           std::to_string(config.n_heads));
    }
  }
  if (config.d_head == 0 || config.d_head % 2 != 0) {
    reader.note(ErrorCode::kCorrupt, "expected an even size of a head (rope turns halves), found " +
                                         std::to_string(config.d_head));
  }
  if (config.n_heads % config.n_kv_heads != 0) {
    reader.note(ErrorCode::kCorrupt, "expected num_key_value_heads to divide num_attention_heads " +
                                         std::to_string(config.n_heads) + ", found " +
                                         std::to_string(config.n_kv_heads));
  }
}

// One id or a list of ids; nothing when the key is not there.
std::vector<TokenId> read_end_tokens(JsonFile& reader, size_t n_vocab) {
  std::vector<TokenId> tokens;
  const Json* value = reader.find("eos_token_id");
  if (value == nullptr) return tokens;
  const Json list = value->is_array() ? *value : Json::array({*value});
  for (const Json& id : list) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= n_vocab || tokens.size() == kEndTokensMax) {
      reader.mistake("eos_token_id", "one or a few token ids below vocab_size " + std::to_string(n_vocab),
                     value);
      return {};
    }
    tokens.push_back(static_cast<TokenId>(id.get<uint64_t>()));
  }
  return tokens;
}

}  // namespace

Result<ModelConfig> read_model_config(const std::filesystem::path& folder,
                                      std::span<const std::string_view> supported) {
  TANDEM_ASSIGN(const auto gguf, gguf_file_of(folder));
  if (gguf) return read_gguf_config(*gguf, supported);
  ModelConfig config;
  TANDEM_ASSIGN(JsonFile reader, JsonFile::open(folder / "config.json"));
  read_architecture(reader, supported, config);
  TANDEM_TRY(reader.done());  // of another architecture, nothing else in here needs to make sense
  refuse_unsupported(reader);
  read_shape(reader, config);
  config.end_tokens = read_end_tokens(reader, config.n_vocab);
  TANDEM_TRY(reader.done());

  const std::filesystem::path generation_path = folder / "generation_config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(generation_path, ignored)) return config;
  TANDEM_ASSIGN(JsonFile generation, JsonFile::open(generation_path));
  const std::vector<TokenId> end_tokens = read_end_tokens(generation, config.n_vocab);
  TANDEM_TRY(generation.done());
  if (!end_tokens.empty()) config.end_tokens = end_tokens;
  return config;
}

}  // namespace tandem::engine
