#include <cstdint>

#include "worker/engine/model/bert.h"
#include "worker/engine/tensor/element_type.h"

namespace tandem::engine {
namespace {

// Asks for tensors by name and keeps the first mistake, so that the list of weights reads as a list.
class Reader {
 public:
  explicit Reader(BertWeights& weights) : weights_(weights) {
    const Checkpoint& checkpoint = *weights.checkpoint;
    if (checkpoint.find("embeddings.word_embeddings.weight") == nullptr) prefix_ = "bert.";
  }

  ConstMatrix matrix(const std::string& name, size_t n_rows, size_t n_columns) {
    return {read(name, {n_rows, n_columns}), n_rows, n_columns};
  }
  std::span<const float> vector(const std::string& name, size_t n) {
    const float* data = read(name, {n});
    return {data, data == nullptr ? 0 : n};
  }
  BertNorm norm(const std::string& name, size_t n) {
    return {vector(name + ".weight", n), vector(name + ".bias", n)};
  }
  BertLinear linear(const std::string& name, size_t d_out, size_t d_in) {
    return {matrix(name + ".weight", d_out, d_in), vector(name + ".bias", d_out)};
  }
  Result<void> done() const {
    if (!mistake_.text.empty()) return fail(mistake_);
    return {};
  }

 private:
  const float* read(const std::string& plain_name, const std::vector<uint64_t>& shape) {
    if (!mistake_.text.empty()) return nullptr;
    const std::string name = prefix_ + plain_name;
    const Checkpoint::Entry* entry = weights_.checkpoint->find(name);
    if (entry == nullptr) {
      return note(ErrorCode::kCorrupt, weights_.checkpoint->folder(), name,
                  "F32, F16 or BF16 " + to_string(shape), "no such tensor");
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
    return widened(tensor, type);
  }

  const float* widened(const StoredTensor& tensor, ElementType type) {
    size_t n = 1;
    for (const uint64_t size : tensor.shape) n *= size;
    auto buffer = FloatBuffer::reserve(n);
    if (!buffer) {
      mistake_ = buffer.error();
      return nullptr;
    }
    widen(type, tensor.bytes.data(), {buffer->data(), n});
    weights_.widened.push_back(std::move(*buffer));
    return weights_.widened.back().data();
  }

  const float* note(ErrorCode code, const std::filesystem::path& path, const std::string& name,
                    const std::string& expected, const std::string& found) {
    mistake_ = {code, path.string() + ": tensor '" + name + "': expected " + expected + ", found " + found};
    return nullptr;
  }

  BertWeights& weights_;
  std::string prefix_;
  Error mistake_;
};

BertLayer read_layer(Reader& reader, const std::string& prefix, const BertConfig& config) {
  const size_t d_model = config.d_model, d_ff = config.d_ff;
  BertLayer layer;
  layer.q = reader.linear(prefix + "attention.self.query", d_model, d_model);
  layer.k = reader.linear(prefix + "attention.self.key", d_model, d_model);
  layer.v = reader.linear(prefix + "attention.self.value", d_model, d_model);
  layer.o = reader.linear(prefix + "attention.output.dense", d_model, d_model);
  layer.attention_norm = reader.norm(prefix + "attention.output.LayerNorm", d_model);
  layer.up = reader.linear(prefix + "intermediate.dense", d_ff, d_model);
  layer.down = reader.linear(prefix + "output.dense", d_model, d_ff);
  layer.output_norm = reader.norm(prefix + "output.LayerNorm", d_model);
  return layer;
}

}  // namespace

Result<BertWeights> load_bert_weights(std::unique_ptr<Checkpoint> checkpoint, const BertConfig& config) {
  BertWeights weights;
  weights.checkpoint = std::move(checkpoint);
  Reader reader(weights);
  const size_t d_model = config.d_model;
  weights.words = reader.matrix("embeddings.word_embeddings.weight", config.n_vocab, d_model);
  weights.positions = reader.matrix("embeddings.position_embeddings.weight", config.n_positions_max, d_model);
  const ConstMatrix types = reader.matrix("embeddings.token_type_embeddings.weight", config.n_types, d_model);
  weights.embedding_norm = reader.norm("embeddings.LayerNorm", d_model);
  TANDEM_TRY(reader.done());
  weights.type = types.row(0);
  for (size_t i = 0; i < config.n_layers; ++i) {
    weights.layers.push_back(read_layer(reader, "encoder.layer." + std::to_string(i) + ".", config));
    TANDEM_TRY(reader.done());
  }
  return weights;
}

}  // namespace tandem::engine
