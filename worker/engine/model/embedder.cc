#include "worker/engine/model/embedder.h"

#include "shared/base/hash.h"
#include "worker/engine/model/bert.h"
#include "worker/engine/model/bert_config.h"
#include "worker/engine/model/bert_ops.h"
#include "worker/engine/model/fingerprint.h"
#include "worker/engine/tensor/checkpoint.h"
#include "worker/engine/tokenizer/word_piece.h"

namespace tandem::engine {
namespace {

// Rows of one step. More would only cost memory (7 KiB each at MiniLM's width): the products are as fast as
// they get from a few hundred rows on.
constexpr size_t kTokensPerStep = 1024;

// Also the name of the packed weights: whoever packs them otherwise counts the version up.
std::string fingerprint_of(const BertConfig& config, const Checkpoint& checkpoint,
                           const WordPieceTokenizer& tokenizer, ComputeType compute) {
  HashBuilder hash;
  hash.add(std::string_view("tandem-embedder-1")).add(name_of(compute)).add(tokenizer.fingerprint());
  for (const size_t number : {config.n_layers, config.d_model, config.n_heads, config.d_ff, config.n_vocab,
                              config.n_positions_max, config.n_tokens_max}) {
    hash.add(uint64_t{number});
  }
  hash.add(config.epsilon);
  add_tensors(hash, checkpoint);
  return hash.finish().to_hex();
}

}  // namespace

struct Embedder::Parts {
  WordPieceTokenizer tokenizer;
  std::string fingerprint;
  Bert bert;
};

Embedder::Embedder(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Embedder::~Embedder() = default;

Result<std::unique_ptr<Embedder>> Embedder::load(const std::filesystem::path& folder,
                                                 const ModelOptions& options) {
  TANDEM_ASSIGN(WordPieceTokenizer tokenizer, WordPieceTokenizer::load(folder));
  TANDEM_ASSIGN(const BertConfig config, read_bert_config(folder, tokenizer.lowercases()));
  if (tokenizer.n_vocab() > config.n_vocab) {
    return fail(ErrorCode::kCorrupt, folder.string() + ": expected a tokenizer of at most vocab_size " +
                                         std::to_string(config.n_vocab) + " tokens, found one of " +
                                         std::to_string(tokenizer.n_vocab()));
  }
  TANDEM_ASSIGN(Checkpoint opened, Checkpoint::open(folder));
  auto checkpoint = std::make_unique<Checkpoint>(std::move(opened));
  std::string fingerprint = fingerprint_of(config, *checkpoint, tokenizer, options.compute);
  TANDEM_ASSIGN(BertWeights weights, load_bert_weights(std::move(checkpoint), config, fingerprint, options));
  return std::unique_ptr<Embedder>(new Embedder(std::unique_ptr<Parts>(new Parts{
      std::move(tokenizer), std::move(fingerprint), {config, std::move(weights), options.n_threads}})));
}

size_t Embedder::dimension() const {
  return parts_->bert.config().d_model;
}
size_t Embedder::n_tokens_max() const {
  return parts_->bert.config().n_tokens_max;
}
const std::string& Embedder::fingerprint() const {
  return parts_->fingerprint;
}
size_t Embedder::count_tokens(std::string_view text) const {
  return parts_->tokenizer.encode(text, n_tokens_max()).size();
}

Embeddings Embedder::embed(std::span<const std::string_view> texts) {
  Embeddings all{std::vector<float>(texts.size() * dimension()), dimension()};
  for (size_t next = 0; next < texts.size();) {
    std::vector<Tokens> step;
    size_t n_tokens = 0;
    while (next + step.size() < texts.size() && n_tokens < kTokensPerStep) {
      step.push_back(parts_->tokenizer.encode(texts[next + step.size()], n_tokens_max()));
      n_tokens += step.back().size();
    }
    const std::vector<std::span<const TokenId>> rows(step.begin(), step.end());
    const ConstMatrix hidden = parts_->bert.run(rows);
    for (size_t i = 0, row = 0; i < step.size(); row += step[i].size(), ++i) {
      const std::span<float> out(all.values.data() + (next + i) * dimension(), dimension());
      mean_of_rows({hidden.row(row).data(), step[i].size(), dimension()}, out);
      scale_to_unit(out);
    }
    next += step.size();
  }
  return all;
}

EmbeddingSteps Embedder::explain(std::string_view text) {
  EmbeddingSteps steps;
  steps.tokens = parts_->tokenizer.encode(text, n_tokens_max());
  const std::span<const TokenId> row = steps.tokens;
  const ConstMatrix hidden = parts_->bert.run({&row, 1});
  steps.hidden.assign(hidden.data, hidden.data + hidden.n_rows * hidden.n_columns);
  steps.mean_pooled.resize(dimension());
  mean_of_rows(hidden, steps.mean_pooled);
  steps.embedding = steps.mean_pooled;
  scale_to_unit(steps.embedding);
  return steps;
}

}  // namespace tandem::engine
