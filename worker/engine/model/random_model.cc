#include "worker/engine/model/random_model.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "shared/base/file.h"
#include "shared/base/hash.h"
#include "worker/engine/model/random_tokenizer.h"
#include "worker/engine/tensor/element_type.h"

namespace tandem::engine {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kShardBytesMax = 4'000'000'000;
constexpr size_t kPieceElements = 1 << 20;

struct Shape {
  std::string_view name;
  std::string_view model_type;  // "qwen2" or "qwen3"
  size_t n_layers, d_model, n_heads, n_kv_heads, d_head, d_ff, n_vocab, n_positions_max;
  double rope_theta;
  bool tied;
  bool stores_head;  // lm_head.weight is in the file; with tied embeddings only Qwen1.5-0.5B has it
  int first_special_id;

  bool is_qwen3() const { return model_type == "qwen3"; }
};

constexpr Shape kShapes[] = {
    {"qwen2-tiny", "qwen2", 3, 64, 4, 4, 16, 176, 1040, 32768, 1e6, true, false, 1021},
    {"qwen3-tiny", "qwen3", 3, 64, 4, 2, 32, 192, 1088, 262144, 5e6, true, false, 1021},
    {"qwen1.5-0.5b", "qwen2", 24, 1024, 16, 16, 64, 2816, 151936, 32768, 1e6, true, true, 151643},
    {"qwen2.5-0.5b", "qwen2", 24, 896, 14, 2, 64, 4864, 151936, 32768, 1e6, true, false, 151643},
    {"qwen3-0.6b", "qwen3", 28, 1024, 16, 8, 128, 3072, 151936, 40960, 1e6, true, false, 151643},
    {"qwen2.5-1.5b", "qwen2", 28, 1536, 12, 2, 128, 8960, 151936, 32768, 1e6, true, false, 151643},
    {"qwen3-1.7b", "qwen3", 28, 2048, 16, 8, 128, 6144, 151936, 40960, 1e6, true, false, 151643},
    {"qwen1.5-1.8b", "qwen2", 24, 2048, 16, 16, 128, 5504, 151936, 32768, 1e6, false, true, 151643},
    {"qwen2.5-3b", "qwen2", 36, 2048, 16, 2, 128, 11008, 151936, 32768, 1e6, true, false, 151643},
    {"qwen3-4b", "qwen3", 36, 2560, 32, 8, 128, 9728, 151936, 262144, 5e6, true, false, 151643},
    {"qwen2.5-7b", "qwen2", 28, 3584, 28, 4, 128, 18944, 152064, 32768, 1e6, false, true, 151643},
};

struct RandomTensor {
  std::string name;
  std::vector<uint64_t> shape;
  float mean = 0, deviation = 0;

  uint64_t n_elements() const {
    uint64_t n = 1;
    for (const uint64_t d : shape) n *= d;
    return n;
  }
  uint64_t n_bytes() const { return n_elements() * 2; }
};

// The scales. Inputs of a projection are normalised (about 1 each), so a deviation of 1 / sqrt(d_in) keeps
// outputs at about 1; q and k a little larger, so that attention is neither even nor on one token. All layers
// together add about 1 to the stream, which must outweigh the embedding: tied to the head, it would make
// every token predict itself.
std::vector<RandomTensor> tensors_of(const Shape& shape) {
  const uint64_t d_model = shape.d_model, d_ff = shape.d_ff, d_head = shape.d_head;
  const uint64_t d_q = shape.n_heads * d_head, d_kv = shape.n_kv_heads * d_head;
  const auto from = [](uint64_t d_in, double scale) {
    return static_cast<float>(scale / std::sqrt(static_cast<double>(d_in)));
  };
  const double residual = 1.0 / std::sqrt(2.0 * static_cast<double>(shape.n_layers));

  std::vector<RandomTensor> tensors;
  tensors.push_back({"model.embed_tokens.weight", {shape.n_vocab, d_model}, 0, from(d_model, 3)});
  for (size_t i = 0; i < shape.n_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    const std::string attention = layer + "self_attn.", mlp = layer + "mlp.";
    tensors.push_back({layer + "input_layernorm.weight", {d_model}, 1, 0.3f});
    tensors.push_back({layer + "post_attention_layernorm.weight", {d_model}, 1, 0.3f});
    tensors.push_back({attention + "q_proj.weight", {d_q, d_model}, 0, from(d_model, 1.3)});
    tensors.push_back({attention + "k_proj.weight", {d_kv, d_model}, 0, from(d_model, 1.3)});
    tensors.push_back({attention + "v_proj.weight", {d_kv, d_model}, 0, from(d_model, 1)});
    tensors.push_back({attention + "o_proj.weight", {d_model, d_q}, 0, from(d_q, 3 * residual)});
    if (shape.is_qwen3()) {
      tensors.push_back({attention + "q_norm.weight", {d_head}, 1.3f, 0.3f});
      tensors.push_back({attention + "k_norm.weight", {d_head}, 1.3f, 0.3f});
    } else {
      tensors.push_back({attention + "q_proj.bias", {d_q}, 0, 0.3f});
      tensors.push_back({attention + "k_proj.bias", {d_kv}, 0, 0.3f});
      tensors.push_back({attention + "v_proj.bias", {d_kv}, 0, 0.1f});
    }
    tensors.push_back({mlp + "gate_proj.weight", {d_ff, d_model}, 0, from(d_model, 1)});
    tensors.push_back({mlp + "up_proj.weight", {d_ff, d_model}, 0, from(d_model, 1)});
    tensors.push_back({mlp + "down_proj.weight", {d_model, d_ff}, 0, from(d_ff, 2 * residual)});
  }
  tensors.push_back({"model.norm.weight", {d_model}, 1, 0.3f});
  if (shape.stores_head) tensors.push_back({"lm_head.weight", {shape.n_vocab, d_model}, 0, from(d_model, 3)});
  return tensors;
}

// splitmix64: each tensor has a stream of its own, so no value depends on the order of writing.
class Generator {
 public:
  explicit Generator(uint64_t seed) : state_(seed) {}

  // The sum of four uniform values has a deviation of sqrt(4 / 12).
  float next() {
    uint64_t bits = state_ += 0x9E3779B97F4A7C15ull;
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9ull;
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EBull;
    bits ^= bits >> 31;
    const auto sum =
        static_cast<int32_t>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
    return static_cast<float>(sum - 131070) * (1.7320508f / 65536.0f);
  }

 private:
  uint64_t state_;
};

// What write_file_atomically() cannot do: a file that is larger than memory.
class StreamFile {
 public:
  explicit StreamFile(std::filesystem::path path) : path_(std::move(path)), file_(path_, std::ios::binary) {}

  void write(const void* data, size_t n_bytes) {
    file_.write(static_cast<const char*>(data), static_cast<std::streamsize>(n_bytes));
  }
  Result<void> close() {
    file_.close();
    if (!file_) return fail(ErrorCode::kIo, path_.string() + ": cannot write: " + std::strerror(errno));
    return {};
  }
  bool ok() const { return file_.good(); }

 private:
  std::filesystem::path path_;
  std::ofstream file_;
};

std::string header_of(std::span<const RandomTensor> tensors) {
  Json header;
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t begin = 0;
  for (const RandomTensor& tensor : tensors) {
    const uint64_t end = begin + tensor.n_bytes();
    header[tensor.name] = {{"dtype", "BF16"}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // tensors begin at a multiple of 8, as in the reference
  return text;
}

Result<void> write_shard(const std::filesystem::path& path, std::span<const RandomTensor> tensors,
                         uint64_t seed, const std::function<void(uint64_t n_bytes)>& written) {
  StreamFile file(path);
  const std::string header = header_of(tensors);
  const uint64_t n_header = header.size();
  file.write(&n_header, sizeof n_header);
  file.write(header.data(), header.size());
  std::vector<uint16_t> piece;
  for (const RandomTensor& tensor : tensors) {
    Generator random(HashBuilder().add(seed).add(std::string_view(tensor.name)).finish().low64());
    for (uint64_t n_left = tensor.n_elements(); n_left > 0 && file.ok(); n_left -= piece.size()) {
      piece.resize(std::min<uint64_t>(n_left, kPieceElements));
      for (uint16_t& value : piece) value = narrow_bf16(tensor.mean + tensor.deviation * random.next());
      file.write(piece.data(), piece.size() * sizeof(uint16_t));
    }
    written(tensor.n_bytes());
  }
  return file.close();
}

// The first tensors that fit one file.
size_t shard_size(std::span<const RandomTensor> tensors) {
  uint64_t n_bytes = 0;
  size_t n = 0;
  while (n < tensors.size() && (n == 0 || n_bytes + tensors[n].n_bytes() <= kShardBytesMax)) {
    n_bytes += tensors[n++].n_bytes();
  }
  return n;
}

Result<void> write_weights(const std::filesystem::path& folder, std::span<const RandomTensor> tensors,
                           uint64_t seed, const RandomModelProgress& progress) {
  uint64_t n_done = 0, n_all = 0;
  size_t n_shards = 0;
  for (const RandomTensor& tensor : tensors) n_all += tensor.n_bytes();
  for (size_t i = 0; i < tensors.size(); i += shard_size(tensors.subspan(i))) ++n_shards;
  const auto written = [&](uint64_t n_bytes) {
    n_done += n_bytes;
    if (progress) progress(n_done, n_all);
  };
  if (n_shards == 1) return write_shard(folder / "model.safetensors", tensors, seed, written);

  Json map = Json::object();
  size_t begin = 0;
  for (size_t shard = 1; shard <= n_shards; ++shard) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", shard, n_shards);
    const size_t n = shard_size(tensors.subspan(begin));
    TANDEM_TRY(write_shard(folder / name, tensors.subspan(begin, n), seed, written));
    for (const RandomTensor& tensor : tensors.subspan(begin, n)) map[tensor.name] = name;
    begin += n;
  }
  const Json index = {{"metadata", {{"total_size", n_all}}}, {"weight_map", map}};
  return write_file_atomically(folder / "model.safetensors.index.json", index.dump(2) + "\n");
}

Json config_of(const Shape& shape) {
  Json config = {
      {"architectures", {shape.is_qwen3() ? "Qwen3ForCausalLM" : "Qwen2ForCausalLM"}},
      {"attention_dropout", 0.0},
      {"bos_token_id", shape.first_special_id},
      {"eos_token_id", shape.first_special_id + 2},
      {"hidden_act", "silu"},
      {"hidden_size", shape.d_model},
      {"intermediate_size", shape.d_ff},
      {"max_position_embeddings", shape.n_positions_max},
      {"model_type", shape.model_type},
      {"num_attention_heads", shape.n_heads},
      {"num_hidden_layers", shape.n_layers},
      {"num_key_value_heads", shape.n_kv_heads},
      {"rms_norm_eps", 1e-6},
      {"rope_theta", shape.rope_theta},
      {"tie_word_embeddings", shape.tied},
      {"torch_dtype", "bfloat16"},
      {"use_cache", true},
      {"use_sliding_window", false},
      {"vocab_size", shape.n_vocab},
  };
  if (shape.is_qwen3()) {
    config["attention_bias"] = false;
    config["head_dim"] = shape.d_head;
    config["rope_scaling"] = nullptr;
  }
  return config;
}

std::optional<Shape> find_shape(std::string_view name) {
  for (const Shape& shape : kShapes) {
    if (shape.name == name) return shape;
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string_view> random_model_names() {
  std::vector<std::string_view> names;
  for (const Shape& shape : kShapes) names.push_back(shape.name);
  return names;
}

Result<void> write_random_model(const std::string& like, uint64_t seed, const std::filesystem::path& folder,
                                const RandomModelProgress& progress) {
  const std::optional<Shape> shape = find_shape(like);
  if (!shape) {
    std::string names;
    for (const std::string_view name : random_model_names())
      names += (names.empty() ? "" : ", ") + std::string(name);
    return fail(ErrorCode::kNotFound,
                "expected the name of a known shape (" + names + "), found '" + like + "'");
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(ErrorCode::kIo, folder.string() + ": cannot make the folder: " + error.message());
  if (std::filesystem::exists(folder / "config.json", error)) {
    return fail(ErrorCode::kExists, folder.string() + ": expected no model here, found a config.json");
  }
  TANDEM_TRY(write_random_tokenizer(folder, shape->first_special_id, shape->n_positions_max));
  TANDEM_TRY(write_weights(folder, tensors_of(*shape), seed, progress));
  const int end = shape->first_special_id + 2;
  const Json generation = {{"bos_token_id", shape->first_special_id},
                           {"do_sample", true},
                           {"eos_token_id", {end, shape->first_special_id}},
                           {"pad_token_id", shape->first_special_id},
                           {"top_p", 0.8}};
  TANDEM_TRY(write_file_atomically(folder / "generation_config.json", generation.dump(2) + "\n"));
  // Last, because it is what says that there is a model.
  return write_file_atomically(folder / "config.json", config_of(*shape).dump(2) + "\n");
}

}  // namespace tandem::engine
