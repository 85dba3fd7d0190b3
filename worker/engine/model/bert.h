// A BERT encoder: token ids in, one hidden state for each token out.

#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/kernels/matmul_input.h"
#include "worker/engine/kernels/packed_matrix.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/model/bert_config.h"
#include "worker/engine/model/model.h"
#include "worker/engine/model/packed_memory.h"
#include "worker/engine/tensor/checkpoint.h"
#include "worker/engine/tensor/float_buffer.h"
#include "worker/engine/tensor/view.h"
#include "worker/engine/tokens.h"

namespace tandem::engine {

struct BertNorm {
  std::span<const float> gain, bias;  // [d_model]
};
struct BertLinear {
  PackedMatrix weights;
  std::vector<float> bias;  // one for each output
};
struct BertLayer {
  BertLinear qkv;       // [3 d_model outputs, d_model inputs]: q, then k, then v
  BertLinear o;         // [d_model, d_model]
  BertLinear up, down;  // [d_ff, d_model], [d_model, d_ff]
  BertNorm attention_norm, output_norm;
};

// Owns the memory behind its views. Matrices are packed, as those of a decoder; what is only looked up or
// added is used where the file is mapped, or widened.
struct BertWeights {
  ConstMatrix words, positions;  // [n_vocab or n_positions_max, d_model]
  std::span<const float> type;   // [d_model]: the first row; a text alone is of the first type
  BertNorm embedding_norm;
  std::vector<BertLayer> layers;

  std::unique_ptr<Checkpoint> checkpoint;
  std::vector<FloatBuffer> widened;
  PackedMemory packed;
};

// Names with or without "bert." in front. `fingerprint` names the packed weights in options.packed_folder.
// kCorrupt when a tensor is missing or has another shape, kUnsupported for another type than F32, F16 and
// BF16, each with file, tensor, expected and found; kIo without memory. Tensors that nobody asks for
// (position_ids, the pooler) are passed over.
Result<BertWeights> load_bert_weights(std::unique_ptr<Checkpoint> checkpoint, const BertConfig& config,
                                      const std::string& fingerprint, const ModelOptions& options);

// run() belongs to one thread at a time.
class Bert {
 public:
  Bert(BertConfig config, BertWeights weights, size_t n_threads);

  // The hidden states after the last layer, [all tokens, d_model], texts one after the other; valid until the
  // next call. Each text has 1 to n_positions_max ids below n_vocab; anything else is a bug and aborts. All
  // tokens are rows of one matrix and only attention looks at texts: nothing is padded, and a text gets, bit
  // for bit, what it would get alone.
  ConstMatrix run(std::span<const std::span<const TokenId>> texts);

  const BertConfig& config() const { return config_; }

 private:
  using Texts = std::span<const std::span<const TokenId>>;
  void embed(Texts texts, Matrix x);
  void project(const BertLinear& linear, ConstMatrix x, Matrix out);
  void project_onto(const BertLinear& linear, ConstMatrix x, Matrix out);
  void attend(Texts texts, ConstMatrix qkv, Matrix out);
  void run_layer(const BertLayer& layer, Texts texts, Matrix x);
  void normalise(Matrix x, const BertNorm& norm);

  BertConfig config_;
  BertWeights weights_;
  ThreadPool pool_;
  MatmulInput input_;
  std::vector<float> x_, qkv_, out_, wide_, scratch_;
};

}  // namespace tandem::engine
