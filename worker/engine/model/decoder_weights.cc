#include "worker/engine/model/decoder_weights.h"

#include <algorithm>
#include <cstdint>

#include "worker/engine/tensor/element_type.h"

namespace tandem::engine {
namespace {

constexpr size_t kAlignment = 64;

size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

// A tensor of the checkpoint with its rows as floats.
struct Rows {
  ElementType type = ElementType::kOther;
  std::span<const std::byte> bytes;
  size_t n_columns = 0, row_bytes = 0;

  void read(size_t row, std::span<float> out) const { widen(type, bytes.data() + row * row_bytes, out); }
};

// Asks for tensors by name and keeps the first mistake, so that the list of weights reads as a list. Notes
// for each where it will lie in the packed memory and how to get it there; nothing is read before write().
class Plan {
 public:
  Plan(const Checkpoint& checkpoint, ComputeType type) : checkpoint_(checkpoint), type_(type) {}

  // The rows of several tensors, one after the other, as outputs of one matrix.
  void matrix(PackedMatrix& matrix, const std::vector<std::pair<std::string, size_t>>& tensors,
              size_t n_inputs) {
    std::vector<Rows> parts;
    size_t n_outputs = 0;
    for (const auto& [name, n_rows] : tensors) {
      parts.push_back(rows(name, {n_rows, n_inputs}));
      n_outputs += n_rows;
    }
    add(matrix, n_outputs, n_inputs, [parts](size_t output, std::span<float> row) {
      size_t part = 0;
      for (size_t n; output >= (n = parts[part].bytes.size() / parts[part].row_bytes); ++part) output -= n;
      parts[part].read(output, row);
    });
  }
  // Panels of two tensors in turn.
  void alternating(PackedMatrix& matrix, const std::string& even, const std::string& odd, size_t n_rows,
                   size_t n_inputs) {
    const Rows both[] = {rows(even, {n_rows, n_inputs}), rows(odd, {n_rows, n_inputs})};
    add(matrix, 2 * round_up(n_rows, kPanelOutputs), n_inputs,
        [even_rows = both[0], odd_rows = both[1], n_rows](size_t output, std::span<float> row) {
          const size_t panel = output / kPanelOutputs;
          const size_t source = panel / 2 * kPanelOutputs + output % kPanelOutputs;
          if (source < n_rows) (panel % 2 == 0 ? even_rows : odd_rows).read(source, row);
        });
  }
  // Several tensors of one dimension, one after the other.
  void vector(std::span<const float>& vector, const std::vector<std::pair<std::string, size_t>>& tensors) {
    std::vector<Rows> parts;
    size_t n = 0;
    for (const auto& [name, n_values] : tensors) {
      parts.push_back(rows(name, {n_values}));
      n += n_values;
    }
    const size_t offset = take(n * sizeof(float));
    places_.push_back([&vector, offset, n](const std::byte* memory) {
      vector = {reinterpret_cast<const float*>(memory + offset), n};
    });
    writers_.push_back([parts, offset](ThreadPool&, std::byte* memory) {
      float* to = reinterpret_cast<float*>(memory + offset);
      for (const Rows& part : parts) {
        part.read(0, {to, part.n_columns});
        to += part.n_columns;
      }
    });
  }

  Result<void> done() const {
    if (!mistake_.text.empty()) return fail(mistake_);
    return {};
  }
  size_t n_bytes() const { return n_bytes_; }
  void write(ThreadPool& pool, std::byte* memory) const {
    for (const auto& writer : writers_) writer(pool, memory);
  }
  void point_at(const std::byte* memory) const {
    for (const auto& place : places_) place(memory);
  }

 private:
  void add(PackedMatrix& matrix, size_t n_outputs, size_t n_inputs, RowSource source) {
    matrix = {type_, n_outputs, n_inputs, nullptr};
    const size_t offset = take(matrix.n_bytes());
    places_.push_back([&matrix, offset](const std::byte* memory) { matrix.data = memory + offset; });
    writers_.push_back(
        [shape = matrix, offset, source = std::move(source)](ThreadPool& pool, std::byte* memory) {
          pack(pool, shape, source, memory + offset);
        });
  }

  size_t take(size_t n) {
    const size_t offset = n_bytes_;
    n_bytes_ += round_up(n, kAlignment);
    return offset;
  }

  Rows rows(const std::string& name, const std::vector<uint64_t>& shape) {
    if (!mistake_.text.empty()) return {};
    const Checkpoint::Entry* entry = checkpoint_.find(name);
    if (entry == nullptr) {
      return note(ErrorCode::kCorrupt, checkpoint_.folder(), name, "a tensor of shape " + to_string(shape),
                  "no such tensor");
    }
    const StoredTensor& tensor = entry->tensor;
    const ElementType type = element_type_from(tensor.type);
    if (type == ElementType::kOther) {
      return note(ErrorCode::kUnsupported, *entry->file, name, std::string("type ") + kElementTypes,
                  tensor.type);
    }
    if (tensor.shape != shape) {
      return note(ErrorCode::kCorrupt, *entry->file, name, "shape " + to_string(shape),
                  to_string(tensor.shape));
    }
    const size_t n_rows = shape.size() == 1 ? 1 : shape.front();
    return {type, tensor.bytes, shape.back(), tensor.bytes.size() / n_rows};
  }

  Rows note(ErrorCode code, const std::filesystem::path& path, const std::string& name,
            const std::string& expected, const std::string& found) {
    mistake_ = {code, path.string() + ": tensor '" + name + "': expected " + expected + ", found " + found};
    return {};
  }

  const Checkpoint& checkpoint_;
  const ComputeType type_;
  size_t n_bytes_ = 0;
  std::vector<std::function<void(const std::byte*)>> places_;
  std::vector<std::function<void(ThreadPool&, std::byte*)>> writers_;
  Error mistake_;
};

void plan_layer(Plan& plan, LayerWeights& layer, const std::string& prefix, const ModelConfig& config,
                const DecoderTraits& traits) {
  const size_t d_model = config.d_model, d_ff = config.d_ff, d_head = config.d_head;
  const size_t d_q = config.n_heads * d_head, d_kv = config.n_kv_heads * d_head;
  const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
  plan.vector(layer.input_norm, {{prefix + "input_layernorm.weight", d_model}});
  plan.matrix(layer.qkv,
              {{attention + "q_proj.weight", d_q},
               {attention + "k_proj.weight", d_kv},
               {attention + "v_proj.weight", d_kv}},
              d_model);
  if (traits.qkv_bias) {
    plan.vector(layer.qkv_bias, {{attention + "q_proj.bias", d_q},
                                 {attention + "k_proj.bias", d_kv},
                                 {attention + "v_proj.bias", d_kv}});
  }
  if (traits.qk_norm) {
    plan.vector(layer.q_norm, {{attention + "q_norm.weight", d_head}});
    plan.vector(layer.k_norm, {{attention + "k_norm.weight", d_head}});
  }
  plan.matrix(layer.o, {{attention + "o_proj.weight", d_model}}, d_q);
  plan.vector(layer.post_attention_norm, {{prefix + "post_attention_layernorm.weight", d_model}});
  plan.alternating(layer.gate_up, mlp + "gate_proj.weight", mlp + "up_proj.weight", d_ff, d_model);
  plan.matrix(layer.down, {{mlp + "down_proj.weight", d_model}}, d_ff);
}

}  // namespace

Result<DecoderWeights> load_decoder_weights(const Checkpoint& checkpoint, const ModelConfig& config,
                                            const DecoderTraits& traits, ComputeType type,
                                            const std::string& fingerprint,
                                            const std::filesystem::path& packed_folder, ThreadPool& pool) {
  DecoderWeights weights;
  Plan plan(checkpoint, type);
  plan.matrix(weights.embedding, {{"model.embed_tokens.weight", config.n_vocab}}, config.d_model);
  weights.layers.resize(config.n_layers);
  for (size_t i = 0; i < config.n_layers; ++i) {
    plan_layer(plan, weights.layers[i], "model.layers." + std::to_string(i) + ".", config, traits);
    TANDEM_TRY(plan.done());
  }
  plan.vector(weights.final_norm, {{"model.norm.weight", config.d_model}});
  if (!config.tied_embedding) {
    plan.matrix(weights.head, {{"lm_head.weight", config.n_vocab}}, config.d_model);
  }
  TANDEM_TRY(plan.done());

  TANDEM_ASSIGN(weights.memory, PackedMemory::open(packed_folder, fingerprint, plan.n_bytes(),
                                                   [&](std::byte* to) { plan.write(pool, to); }));
  plan.point_at(weights.memory.data());
  if (config.tied_embedding) weights.head = weights.embedding;
  return weights;
}

}  // namespace tandem::engine
