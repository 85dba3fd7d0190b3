// Texts to vectors whose cosine says how alike the texts are: a MiniLM-like sentence encoder from a Hugging
// Face (sentence-transformers) folder.

#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/model/model.h"
#include "worker/engine/tokens.h"

namespace tandem::engine {

// One unit vector for each text, in their order.
struct Embeddings {
  std::vector<float> values;  // [n_texts, dimension]
  size_t dimension = 0;
  size_t size() const { return dimension == 0 ? 0 : values.size() / dimension; }
  std::span<const float> operator[](size_t i) const { return {values.data() + i * dimension, dimension}; }
};

// Everything on the way of one text, for tests and checkers.
struct EmbeddingSteps {
  Tokens tokens;                   // with [CLS] and [SEP], cut to n_tokens_max()
  std::vector<float> hidden;       // [n_tokens, dimension], after the last layer
  std::vector<float> mean_pooled;  // [dimension]
  std::vector<float> embedding;    // [dimension], of length 1
};

// Loading and its errors as for Model, with the compute type and the packed weights of `options`. embed()
// belongs to one thread at a time and uses a pool of options.n_threads inside; the other functions are safe
// from any thread.
class Embedder {
 public:
  // A folder as sentence-transformers has it: config.json, model.safetensors, tokenizer.json and, as far as
  // they are there, modules.json, 1_Pooling/config.json and sentence_bert_config.json. kNotFound, kCorrupt,
  // kUnsupported (see bert_config.h and word_piece.h for what is supported), each with the path.
  static Result<std::unique_ptr<Embedder>> load(const std::filesystem::path& folder,
                                                const ModelOptions& options);
  ~Embedder();

  size_t dimension() const;
  size_t n_tokens_max() const;  // of a text with its two marks; a longer text is cut off behind
  // What the vectors depend on, as a hash in hex: weights, config, compute type, tokenizer,
  // n_tokens_max().
  const std::string& fingerprint() const;

  // A vector for every text, also for "" (then of the marks alone). A text gets, bit for bit, the
  // vector that it would get alone: nothing is padded, and all sums are over its own tokens.
  Embeddings embed(std::span<const std::string_view> texts);
  EmbeddingSteps explain(std::string_view text);
  size_t count_tokens(std::string_view text) const;  // at most n_tokens_max()

 private:
  struct Parts;
  explicit Embedder(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace tandem::engine
