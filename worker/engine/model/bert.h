// A BERT encoder: token ids in, one hidden state for each token out.

#pragma once

#include <memory>
#include <span>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/kernels/thread_pool.h"
#include "worker/engine/model/bert_config.h"
#include "worker/engine/tensor/checkpoint.h"
#include "worker/engine/tensor/float_buffer.h"
#include "worker/engine/tensor/view.h"
#include "worker/engine/tokens.h"

namespace tandem::engine {

struct BertNorm {
  std::span<const float> gain, bias;  // [d_model]
};
struct BertLinear {
  ConstMatrix weights;          // [d_out, d_in]
  std::span<const float> bias;  // [d_out]
};
struct BertLayer {
  BertLinear q, k, v, o, up, down;
  BertNorm attention_norm, output_norm;
};

// Owns the memory behind its views. F32 weights are used where the file is mapped.
struct BertWeights {
  ConstMatrix words, positions;  // [n_vocab or n_positions_max, d_model]
  std::span<const float> type;   // [d_model]: the first row; a text alone is of the first type
  BertNorm embedding_norm;
  std::vector<BertLayer> layers;

  std::unique_ptr<Checkpoint> checkpoint;
  std::vector<FloatBuffer> widened;
};

// Names with or without "bert." in front. kCorrupt when a tensor is missing or has another shape,
// kUnsupported for another type than F32, F16 and BF16, each with file, tensor, expected and found; kIo
// without memory. Tensors that nobody asks for (position_ids, the pooler) are passed over.
Result<BertWeights> load_bert_weights(std::unique_ptr<Checkpoint> checkpoint, const BertConfig& config);

// run() belongs to one thread at a time.
class Bert {
 public:
  Bert(BertConfig config, BertWeights weights, size_t n_threads);

  // The hidden states after the last layer, [all tokens, d_model], texts one after the other; valid until the
  // next call. Each text has 1 to n_positions_max ids below n_vocab; anything else is a bug and aborts. All
  // tokens are rows of one matrix and only attention looks at texts: nothing is padded.
  ConstMatrix run(std::span<const std::span<const TokenId>> texts);

  const BertConfig& config() const { return config_; }

 private:
  void embed(std::span<const std::span<const TokenId>> texts, Matrix x);
  void attend(std::span<const std::span<const TokenId>> texts, Matrix q, Matrix k, Matrix v, Matrix out);
  void run_layer(const BertLayer& layer, std::span<const std::span<const TokenId>> texts, Matrix x);

  BertConfig config_;
  BertWeights weights_;
  ThreadPool pool_;
  std::vector<float> x_, q_, k_, v_, out_, wide_, scratch_;
};

}  // namespace tandem::engine
