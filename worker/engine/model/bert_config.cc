#include "worker/engine/model/bert_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "shared/base/file.h"
#include "shared/base/limits.h"
#include "worker/engine/model/json_file.h"

namespace tandem::engine {
namespace {

using Json = JsonFile::Json;
namespace fs = std::filesystem;

// Far above any real encoder, and low enough that no product of two of them overflows.
constexpr uint64_t kLayersMax = 1024, kHeadsMax = 1024, kWidthMax = 1u << 16, kVocabMax = 1u << 24,
                   kPositionsMax = 1u << 20;
constexpr std::string_view kModules = "sentence_transformers.models.";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

void only(JsonFile& file, const char* key, const char* supported) {
  const std::string found = file.text_or(key, supported);
  if (found != supported) {
    file.note(ErrorCode::kUnsupported, "'" + std::string(key) + "': supported is \"" + supported +
                                           "\", found " + JsonFile::shown(found));
  }
}

Result<void> read_encoder(const fs::path& path, BertConfig& config) {
  TANDEM_ASSIGN(JsonFile file, JsonFile::open(path));
  if (file.find("model_type") == nullptr) file.mistake("model_type", "\"bert\"", nullptr);
  only(file, "model_type", "bert");
  TANDEM_TRY(file.done());  // of another architecture, nothing else in here needs to make sense
  if (file.find("hidden_act") == nullptr) file.mistake("hidden_act", "\"gelu\"", nullptr);
  only(file, "hidden_act", "gelu");
  only(file, "position_embedding_type", "absolute");
  if (file.flag_or("is_decoder", false)) {
    file.note(ErrorCode::kUnsupported, "'is_decoder': supported is false, found true");
  }
  config.n_layers = file.number("num_hidden_layers", 1, kLayersMax);
  config.d_model = file.number("hidden_size", 1, kWidthMax);
  config.n_heads = file.number("num_attention_heads", 1, kHeadsMax);
  config.d_ff = file.number("intermediate_size", 1, kWidthMax);
  config.n_vocab = file.number("vocab_size", 1, kVocabMax);
  config.n_positions_max = file.number("max_position_embeddings", 16, kPositionsMax);
  config.n_types = file.number_or("type_vocab_size", 1, kVocabMax, 2);
  config.epsilon = file.real(file.find("layer_norm_eps"), "layer_norm_eps", 0, 1);
  if (config.d_model % config.n_heads != 0) {
    file.note(ErrorCode::kCorrupt, "expected num_attention_heads to divide hidden_size " +
                                       std::to_string(config.d_model) + ", found " +
                                       std::to_string(config.n_heads));
  }
  return file.done();
}

Result<void> read_pooling(const fs::path& path, size_t d_model) {
  TANDEM_ASSIGN(JsonFile file, JsonFile::open(path));
  for (const auto& [key, value] : file.json().items()) {
    if (!key.starts_with("pooling_mode_") || (value == true) == (key == "pooling_mode_mean_tokens")) continue;
    file.note(ErrorCode::kUnsupported,
              "supported is pooling_mode_mean_tokens alone, found '" + key + "': " + JsonFile::shown(value));
  }
  if (file.number_or("word_embedding_dimension", 1, kWidthMax, d_model) != d_model) {
    file.note(ErrorCode::kCorrupt, "expected word_embedding_dimension to be hidden_size " +
                                       std::to_string(d_model) + ", found another number");
  }
  return file.done();
}

// modules.json: [{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling", ...}, ...]
Result<void> read_modules(const fs::path& folder, size_t d_model) {
  const fs::path path = folder / "modules.json";
  TANDEM_ASSIGN(const std::string text, read_file(path, limits::kConfigBytesMax));
  const Json modules = Json::parse(text, nullptr, false);
  if (!modules.is_array()) {
    return fail(ErrorCode::kCorrupt, path.string() + ": expected a JSON list of modules, found " +
                                         (modules.is_discarded() ? "none" : JsonFile::shown(modules)));
  }
  for (const Json& module : modules) {
    const auto field = [&](const char* key) {
      const auto found = module.is_object() ? module.find(key) : module.end();
      return found != module.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const std::string type = field("type"), place = field("path");
    if (!type.starts_with(kModules)) {
      return fail(ErrorCode::kUnsupported, path.string() + ": expected a module of " + std::string(kModules) +
                                               "*, found " + JsonFile::shown(module));
    }
    const std::string_view kind = std::string_view(type).substr(kModules.size());
    if (kind == "Pooling" && fs::path(place).filename() == place && !place.empty() && place != "..") {
      TANDEM_TRY(read_pooling(folder / place / "config.json", d_model));
    } else if (!(kind == "Transformer" && place.empty()) && kind != "Normalize") {
      return fail(ErrorCode::kUnsupported,
                  path.string() +
                      ": supported are Transformer in this folder, Pooling and Normalize, found " +
                      JsonFile::shown(module));
    }
  }
  return {};
}

}  // namespace

Result<BertConfig> read_bert_config(const fs::path& folder, bool tokenizer_lowercases) {
  BertConfig config;
  TANDEM_TRY(read_encoder(folder / "config.json", config));
  if (is_there(folder / "modules.json")) TANDEM_TRY(read_modules(folder, config.d_model));
  config.n_tokens_max = config.n_positions_max;
  const fs::path sentence = folder / "sentence_bert_config.json";
  if (!is_there(sentence)) return config;
  TANDEM_ASSIGN(JsonFile file, JsonFile::open(sentence));
  config.n_tokens_max = std::min(config.n_positions_max,
                                 file.number_or("max_seq_length", 16, kPositionsMax, config.n_positions_max));
  if (file.flag_or("do_lower_case", false) && !tokenizer_lowercases) {
    file.note(ErrorCode::kUnsupported, "'do_lower_case': supported is false, or a tokenizer that does it");
  }
  TANDEM_TRY(file.done());
  return config;
}

}  // namespace tandem::engine
