#include "worker/engine/model/gguf_config.h"

#include <algorithm>

#include "shared/base/file.h"

namespace tandem::engine {
namespace {

// Far above any real model, and low enough that no product of two of them overflows.
constexpr uint64_t kLayersMax = 4096, kHeadsMax = 4096, kHeadSizeMax = 4096, kWidthMax = 1u << 20,
                   kVocabMax = 1u << 24, kPositionsMax = 1u << 28;

struct Name {
  std::string_view gguf, hugging_face;
};
constexpr Name kArchitectures[] = {{"qwen2", "Qwen2ForCausalLM"}, {"qwen3", "Qwen3ForCausalLM"}};

// Asks for keys one by one and keeps the first mistake.
class Reader {
 public:
  explicit Reader(const GgufFile& file) : file_(file) {}

  void set_prefix(std::string_view architecture) { prefix_ = std::string(architecture) + "."; }
  const GgufValue* find(const std::string& key) const { return file_.find(prefix_ + key); }

  size_t number(const std::string& key, uint64_t min, uint64_t max) {
    const GgufValue* value = find(key);
    const auto n = value == nullptr ? std::nullopt : value->count();
    if (n && *n >= min && *n <= max) return *n;
    mistake(key, "a whole number from " + std::to_string(min) + " to " + std::to_string(max), value);
    return min;
  }
  size_t number_or(const std::string& key, uint64_t min, uint64_t max, size_t otherwise) {
    return find(key) == nullptr ? otherwise : number(key, min, max);
  }
  double real_or(const std::string& key, double min, double max, std::optional<double> otherwise) {
    const GgufValue* value = find(key);
    if (value == nullptr && otherwise) return *otherwise;
    const auto x = value == nullptr ? std::nullopt : value->real();
    if (x && *x >= min && *x <= max) return *x;
    mistake(key, "a number from " + std::to_string(min) + " to " + std::to_string(max), value);
    return min;
  }
  void mistake(const std::string& key, const std::string& expected, const GgufValue* found) {
    note(ErrorCode::kCorrupt, "expected '" + prefix_ + key + "' to be " + expected + ", found " +
                                  (found == nullptr ? "nothing" : found->shown()));
  }
  void note(ErrorCode code, std::string text) {
    if (mistake_.text.empty()) mistake_ = {code, std::move(text)};
  }
  Result<void> done() const {
    if (!mistake_.text.empty()) return fail(mistake_);
    return {};
  }

 private:
  const GgufFile& file_;
  std::string prefix_;
  Error mistake_;
};

// The name in llama.cpp; "" is a mistake that was noted.
std::string_view read_architecture(Reader& reader, std::span<const std::string_view> supported,
                                   ModelConfig& config) {
  const GgufValue* value = reader.find("general.architecture");
  const auto found = value == nullptr ? std::nullopt : value->text();
  std::string all;
  for (const Name& name : kArchitectures) {
    if (std::find(supported.begin(), supported.end(), name.hugging_face) == supported.end()) continue;
    all += (all.empty() ? "" : " or ") + std::string(name.gguf);
    if (found != name.gguf) continue;
    config.architecture = name.hugging_face;
    return name.gguf;
  }
  if (found) {
    reader.note(ErrorCode::kUnsupported,
                "expected general.architecture " + all + ", found " + value->shown());
  } else {
    reader.mistake("general.architecture", all, value);
  }
  return "";
}

void read_shape(Reader& reader, ModelConfig& config) {
  config.n_layers = reader.number("block_count", 1, kLayersMax);
  config.d_model = reader.number("embedding_length", 1, kWidthMax);
  config.n_heads = reader.number("attention.head_count", 1, kHeadsMax);
  config.n_kv_heads = reader.number_or("attention.head_count_kv", 1, kHeadsMax, config.n_heads);
  config.d_ff = reader.number("feed_forward_length", 1, kWidthMax);
  config.n_positions_max = reader.number("context_length", 1, kPositionsMax);
  config.rms_epsilon = reader.real_or("attention.layer_norm_rms_epsilon", 0, 1, std::nullopt);
  config.rope_theta = reader.real_or("rope.freq_base", 1, 1e15, 10000.0);  // as llama.cpp without it
  config.d_head = reader.number_or("attention.key_length", 1, kHeadSizeMax, config.d_model / config.n_heads);
  const auto same_as_head = [&](const char* key) {
    if (const size_t n = reader.number_or(key, 1, kHeadSizeMax, config.d_head); n != config.d_head) {
      reader.note(ErrorCode::kUnsupported, "'" + std::string(key) + "': supported is the size of a head, " +
                                               std::to_string(config.d_head) + ", found " +
                                               std::to_string(n));
    }
  };
  same_as_head("attention.value_length");
  same_as_head("rope.dimension_count");
  if (reader.find("attention.key_length") == nullptr && config.d_model % config.n_heads != 0) {
    reader.note(ErrorCode::kCorrupt, "expected attention.head_count to divide embedding_length " +
                                         std::to_string(config.d_model) + ", found " +
                                         std::to_string(config.n_heads));
  }
  if (config.d_head % 2 != 0) {
    reader.note(ErrorCode::kCorrupt, "expected an even size of a head (rope turns halves), found " +
                                         std::to_string(config.d_head));
  }
  if (config.n_heads % config.n_kv_heads != 0) {
    reader.note(ErrorCode::kCorrupt, "expected attention.head_count_kv to divide attention.head_count " +
                                         std::to_string(config.n_heads) + ", found " +
                                         std::to_string(config.n_kv_heads));
  }
  const GgufValue* scaling = reader.find("rope.scaling.type");
  if (scaling != nullptr && scaling->text() != "none") {
    reader.note(ErrorCode::kUnsupported, "'rope.scaling.type': supported is none, found " + scaling->shown());
  }
}

void read_tensors(Reader& reader, const GgufFile& file, ModelConfig& config) {
  config.tied_embedding = true;
  bool has_embedding = false;
  for (const StoredTensor& tensor : file.tensors) {
    if (tensor.name == "output.weight") config.tied_embedding = false;
    if (tensor.name == "rope_freqs.weight") {
      reader.note(ErrorCode::kUnsupported, "tensor 'rope_freqs.weight': supported is rope without factors");
    }
    if (tensor.name != "token_embd.weight") continue;
    has_embedding = true;
    config.n_vocab = tensor.shape.front();
    if (tensor.shape.size() != 2 || config.n_vocab == 0 || config.n_vocab > kVocabMax) {
      reader.note(ErrorCode::kCorrupt, "tensor 'token_embd.weight': expected a shape of two, with 1 to " +
                                           std::to_string(kVocabMax) + " tokens, found " +
                                           to_string(tensor.shape));
    }
  }
  if (!has_embedding) {
    reader.note(ErrorCode::kCorrupt, "tensor 'token_embd.weight': expected it, found no such tensor");
  }
}

void add_end_token(Reader& reader, const char* key, ModelConfig& config) {
  const GgufValue* value = reader.find(key);
  if (value == nullptr) return;
  const auto id = value->count();
  if (!id || *id >= config.n_vocab) {
    return reader.mistake(key, "a token id below " + std::to_string(config.n_vocab), value);
  }
  const auto token = static_cast<TokenId>(*id);
  std::vector<TokenId>& ends = config.end_tokens;
  if (std::find(ends.begin(), ends.end(), token) == ends.end()) ends.push_back(token);
}

void read_end_tokens(Reader& reader, ModelConfig& config) {
  reader.set_prefix("tokenizer.ggml");
  add_end_token(reader, "eos_token_id", config);
  add_end_token(reader, "eot_token_id", config);
  const GgufValue *tokens = reader.find("tokens"), *types = reader.find("token_type");
  const auto* texts = tokens == nullptr ? nullptr : tokens->texts();
  const auto kinds = types == nullptr ? std::nullopt : types->integers();
  if (texts == nullptr || !kinds || kinds->size() != texts->size()) return;  // the tokenizer's business
  constexpr int64_t kControl = 3;
  for (size_t i = 0; i < std::min(texts->size(), config.n_vocab); ++i) {
    const bool ends_text = (*texts)[i] == "<|im_end|>" || (*texts)[i] == "<|endoftext|>";
    if (!ends_text || (*kinds)[i] != kControl) continue;
    const auto token = static_cast<TokenId>(i);
    std::vector<TokenId>& ends = config.end_tokens;
    if (std::find(ends.begin(), ends.end(), token) == ends.end()) ends.push_back(token);
  }
}

}  // namespace

Result<ModelConfig> gguf_model_config(const GgufFile& file, std::span<const std::string_view> supported) {
  ModelConfig config;
  Reader reader(file);
  const std::string_view architecture = read_architecture(reader, supported, config);
  TANDEM_TRY(reader.done());  // of another architecture, nothing else in here needs to make sense
  reader.set_prefix(architecture);
  read_shape(reader, config);
  read_tensors(reader, file, config);
  TANDEM_TRY(reader.done());
  read_end_tokens(reader, config);
  TANDEM_TRY(reader.done());
  return config;
}

Result<ModelConfig> read_gguf_config(const std::filesystem::path& path,
                                     std::span<const std::string_view> supported) {
  TANDEM_ASSIGN(const MappedFile file, MappedFile::open(path));
  const auto parsed = parse_gguf(file.bytes());
  if (!parsed) return fail_in(path.string(), parsed.error());
  auto config = gguf_model_config(*parsed, supported);
  if (!config) return fail_in(path.string(), config.error());
  return config;
}

}  // namespace tandem::engine
