#include "worker/engine/model/decoder_weights.h"

#include <cstdint>

#include "worker/engine/tensor/element_type.h"

namespace tandem::engine {
namespace {

constexpr size_t kWidenSlice = 1 << 18;  // elements for which another thread is worth waking

// Asks for tensors by name and keeps the first mistake, so that the list of weights reads as a list.
class WeightReader {
 public:
  WeightReader(const Checkpoint& checkpoint, ThreadPool& pool, std::vector<FloatBuffer>& widened)
      : checkpoint_(checkpoint), pool_(pool), widened_(widened) {}

  ConstMatrix matrix(const std::string& name, size_t n_rows, size_t n_columns) {
    return {read(name, {n_rows, n_columns}), n_rows, n_columns};
  }
  std::span<const float> vector(const std::string& name, size_t n) {
    const float* data = read(name, {n});
    return {data, data == nullptr ? 0 : n};
  }
  Result<void> done() const {
    if (!mistake_.text.empty()) return fail(mistake_);
    return {};
  }

 private:
  const float* read(const std::string& name, const std::vector<uint64_t>& shape) {
    if (!mistake_.text.empty()) return nullptr;
    const Checkpoint::Entry* entry = checkpoint_.find(name);
    if (entry == nullptr) {
      return note(ErrorCode::kCorrupt, checkpoint_.folder(), name, "F32, F16 or BF16 " + to_string(shape),
                  "no such tensor");
    }
    const StoredTensor& tensor = entry->tensor;
    const ElementType type = element_type_from(tensor.type);
    if (type == ElementType::kOther) {
      return note(ErrorCode::kUnsupported, *entry->file, name, "type F32, F16 or BF16", tensor.type);
    }
    if (tensor.shape != shape) {
      return note(ErrorCode::kCorrupt, *entry->file, name, "shape " + to_string(shape),
                  to_string(tensor.shape));
    }
    const bool aligned = reinterpret_cast<uintptr_t>(tensor.bytes.data()) % alignof(float) == 0;
    if (type == ElementType::kF32 && aligned) return reinterpret_cast<const float*>(tensor.bytes.data());
    return widen_all(tensor, type);
  }

  const float* widen_all(const StoredTensor& tensor, ElementType type) {
    const size_t n_bytes = element_bytes(tensor.type);
    auto buffer = FloatBuffer::reserve(tensor.bytes.size() / n_bytes);
    if (!buffer) {
      mistake_ = buffer.error();
      return nullptr;
    }
    const std::span<float> out(buffer->data(), buffer->size());
    pool_.split(out.size(), kWidenSlice, [&](size_t begin, size_t end) {
      widen(type, tensor.bytes.data() + begin * n_bytes, out.subspan(begin, end - begin));
    });
    widened_.push_back(std::move(*buffer));
    return out.data();
  }

  const float* note(ErrorCode code, const std::filesystem::path& path, const std::string& name,
                    const std::string& expected, const std::string& found) {
    mistake_ = {code, path.string() + ": tensor '" + name + "': expected " + expected + ", found " + found};
    return nullptr;
  }

  const Checkpoint& checkpoint_;
  ThreadPool& pool_;
  std::vector<FloatBuffer>& widened_;
  Error mistake_;
};

LayerWeights read_layer(WeightReader& reader, const std::string& prefix, const ModelConfig& config,
                        const DecoderTraits& traits) {
  const size_t d_model = config.d_model, d_ff = config.d_ff, d_head = config.d_head;
  const size_t d_q = config.n_heads * d_head, d_kv = config.n_kv_heads * d_head;
  const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
  LayerWeights layer;
  layer.input_norm = reader.vector(prefix + "input_layernorm.weight", d_model);
  layer.q = reader.matrix(attention + "q_proj.weight", d_q, d_model);
  layer.k = reader.matrix(attention + "k_proj.weight", d_kv, d_model);
  layer.v = reader.matrix(attention + "v_proj.weight", d_kv, d_model);
  if (traits.qkv_bias) {
    layer.q_bias = reader.vector(attention + "q_proj.bias", d_q);
    layer.k_bias = reader.vector(attention + "k_proj.bias", d_kv);
    layer.v_bias = reader.vector(attention + "v_proj.bias", d_kv);
  }
  if (traits.qk_norm) {
    layer.q_norm = reader.vector(attention + "q_norm.weight", d_head);
    layer.k_norm = reader.vector(attention + "k_norm.weight", d_head);
  }
  layer.o = reader.matrix(attention + "o_proj.weight", d_model, d_q);
  layer.post_attention_norm = reader.vector(prefix + "post_attention_layernorm.weight", d_model);
  layer.gate = reader.matrix(mlp + "gate_proj.weight", d_ff, d_model);
  layer.up = reader.matrix(mlp + "up_proj.weight", d_ff, d_model);
  layer.down = reader.matrix(mlp + "down_proj.weight", d_model, d_ff);
  return layer;
}

}  // namespace

Result<DecoderWeights> load_decoder_weights(std::unique_ptr<Checkpoint> checkpoint, const ModelConfig& config,
                                            const DecoderTraits& traits, ThreadPool& pool) {
  DecoderWeights weights;
  weights.checkpoint = std::move(checkpoint);
  WeightReader reader(*weights.checkpoint, pool, weights.widened);
  weights.embedding = reader.matrix("model.embed_tokens.weight", config.n_vocab, config.d_model);
  for (size_t i = 0; i < config.n_layers; ++i) {
    weights.layers.push_back(read_layer(reader, "model.layers." + std::to_string(i) + ".", config, traits));
    TANDEM_TRY(reader.done());
  }
  weights.final_norm = reader.vector("model.norm.weight", config.d_model);
  weights.head = config.tied_embedding ? weights.embedding
                                       : reader.matrix("lm_head.weight", config.n_vocab, config.d_model);
  TANDEM_TRY(reader.done());
  return weights;
}

}  // namespace tandem::engine
