#include <cstdint>

#include "worker/engine/model/bert.h"
#include "worker/engine/tensor/element_type.h"

namespace tandem::engine {
namespace {

constexpr size_t kAlignment = 64;

// Asks for tensors by name and keeps the first mistake, so that the list of weights reads as a list. Matrices
// of products are noted with their place in the packed memory, and packed at the end.
class Reader {
 public:
  Reader(BertWeights& weights, ComputeType type) : weights_(weights), type_(type) {
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
  // The outputs of several linear layers of d_out each, side by side in one.
  void linear(BertLinear& linear, const std::vector<std::string>& names, size_t d_out, size_t d_in) {
    std::vector<const StoredTensor*> parts;
    for (const std::string& name : names) {
      parts.push_back(find(name + ".weight", {d_out, d_in}));
      const std::span<const float> bias = vector(name + ".bias", d_out);
      linear.bias.insert(linear.bias.end(), bias.begin(), bias.end());
    }
    linear.weights = {type_, names.size() * d_out, d_in, nullptr};
    to_pack_.push_back({&linear.weights, std::move(parts), d_out, n_packed_});
    n_packed_ += (linear.weights.n_bytes() + kAlignment - 1) / kAlignment * kAlignment;
  }
  Result<void> pack_all(const std::string& fingerprint, const ModelOptions& options) {
    const auto fill = [&](std::byte* to) {
      ThreadPool pool(options.n_threads);
      for (const ToPack& one : to_pack_) {
        const auto row_of = [&one](size_t output, std::span<float> row) {
          const StoredTensor& tensor = *one.parts[output / one.d_out];
          const size_t row_bytes = tensor.bytes.size() / one.d_out;
          widen(element_type_from(tensor.type), tensor.bytes.data() + output % one.d_out * row_bytes, row);
        };
        pack(pool, *one.matrix, row_of, to + one.offset);
      }
    };
    TANDEM_ASSIGN(weights_.packed, PackedMemory::open(options.packed_folder, fingerprint, n_packed_, fill));
    for (const ToPack& one : to_pack_) one.matrix->data = weights_.packed.data() + one.offset;
    return {};
  }
  Result<void> done() const {
    if (!mistake_.text.empty()) return fail(mistake_);
    return {};
  }

 private:
  struct ToPack {
    PackedMatrix* matrix = nullptr;
    std::vector<const StoredTensor*> parts;
    size_t d_out = 0, offset = 0;
  };

  const StoredTensor* find(const std::string& plain_name, const std::vector<uint64_t>& shape) {
    if (!mistake_.text.empty()) return nullptr;
    const std::string name = prefix_ + plain_name;
    const Checkpoint::Entry* entry = weights_.checkpoint->find(name);
    if (entry == nullptr) {
      return note(ErrorCode::kCorrupt, weights_.checkpoint->folder(), name,
                  "a tensor of shape " + to_string(shape), "no such tensor");
    }
    const StoredTensor& tensor = entry->tensor;
    if (element_type_from(tensor.type) == ElementType::kOther) {
      return note(ErrorCode::kUnsupported, *entry->file, name, std::string("type ") + kElementTypes,
                  tensor.type);
    }
    if (tensor.shape != shape) {
      return note(ErrorCode::kCorrupt, *entry->file, name, "shape " + to_string(shape),
                  to_string(tensor.shape));
    }
    return &tensor;
  }

  const float* read(const std::string& name, const std::vector<uint64_t>& shape) {
    const StoredTensor* tensor = find(name, shape);
    if (tensor == nullptr) return nullptr;
    const ElementType type = element_type_from(tensor->type);
    const bool aligned = reinterpret_cast<uintptr_t>(tensor->bytes.data()) % alignof(float) == 0;
    if (type == ElementType::kF32 && aligned) return reinterpret_cast<const float*>(tensor->bytes.data());
    return widened(*tensor, type);
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

  std::nullptr_t note(ErrorCode code, const std::filesystem::path& path, const std::string& name,
                      const std::string& expected, const std::string& found) {
    mistake_ = {code, path.string() + ": tensor '" + name + "': expected " + expected + ", found " + found};
    return nullptr;
  }

  BertWeights& weights_;
  const ComputeType type_;
  std::string prefix_;
  std::vector<ToPack> to_pack_;
  size_t n_packed_ = 0;
  Error mistake_;
};

void read_layer(Reader& reader, BertLayer& layer, const std::string& prefix, const BertConfig& config) {
  const size_t d_model = config.d_model, d_ff = config.d_ff;
  const std::string self = prefix + "attention.self.";
  reader.linear(layer.qkv, {self + "query", self + "key", self + "value"}, d_model, d_model);
  reader.linear(layer.o, {prefix + "attention.output.dense"}, d_model, d_model);
  layer.attention_norm = reader.norm(prefix + "attention.output.LayerNorm", d_model);
  reader.linear(layer.up, {prefix + "intermediate.dense"}, d_ff, d_model);
  reader.linear(layer.down, {prefix + "output.dense"}, d_model, d_ff);
  layer.output_norm = reader.norm(prefix + "output.LayerNorm", d_model);
}

}  // namespace

Result<BertWeights> load_bert_weights(std::unique_ptr<Checkpoint> checkpoint, const BertConfig& config,
                                      const std::string& fingerprint, const ModelOptions& options) {
  BertWeights weights;
  weights.checkpoint = std::move(checkpoint);
  Reader reader(weights, options.compute);
  const size_t d_model = config.d_model;
  weights.words = reader.matrix("embeddings.word_embeddings.weight", config.n_vocab, d_model);
  weights.positions = reader.matrix("embeddings.position_embeddings.weight", config.n_positions_max, d_model);
  const ConstMatrix types = reader.matrix("embeddings.token_type_embeddings.weight", config.n_types, d_model);
  weights.embedding_norm = reader.norm("embeddings.LayerNorm", d_model);
  TANDEM_TRY(reader.done());
  weights.type = types.row(0);
  weights.layers.resize(config.n_layers);
  for (size_t i = 0; i < config.n_layers; ++i) {
    read_layer(reader, weights.layers[i], "encoder.layer." + std::to_string(i) + ".", config);
    TANDEM_TRY(reader.done());
  }
  TANDEM_TRY(reader.pack_all(fingerprint, options));
  return weights;
}

}  // namespace tandem::engine
