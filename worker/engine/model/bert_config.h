// What the small files of a sentence-transformers folder say of a BERT encoder.

#pragma once

#include <filesystem>

#include "shared/base/result.h"

namespace tandem::engine {

struct BertConfig {
  size_t n_layers = 0, d_model = 0, n_heads = 0, d_ff = 0, n_vocab = 0;
  size_t n_positions_max = 0, n_types = 0;
  double epsilon = 0;       // of the layer norms
  size_t n_tokens_max = 0;  // of a text with its marks; longer ones are cut off behind
  size_t d_head() const { return d_model / n_heads; }
};

// Reads config.json, and where they are there modules.json, the pooling's config.json and
// sentence_bert_config.json (max_seq_length; without it, all positions). Without modules.json the mean of the
// tokens is taken, as sentence-transformers does.
//
// kNotFound without config.json; kCorrupt for broken JSON or numbers that cannot be; kUnsupported for what
// computes something else: another model_type, activation, kind of positions or pooling, a further module, or
// `do_lower_case` where the tokenizer does not (`tokenizer_lowercases`). Each with path, expected and found.
Result<BertConfig> read_bert_config(const std::filesystem::path& folder, bool tokenizer_lowercases);

}  // namespace tandem::engine
