// An embedder without a model: the n-grams of a text, hashed, each a row of a matrix; their sum at unit
// length. Microseconds a text. With a file that train/train_ngram.py wrote, the rows are learned; without,
// they are fixed random signs, all n-grams weigh the same, and near means "shares many n-grams".
//
// n-grams, in small letters and form C: words and Han characters, pairs of neighbours, triples of Han
// characters, and four letters of longer words with their borders. Each counts once.
//
// The file, little-endian: "TDNGRAM1"; u32 rows; u32 dimension; u32 CRC-32 (IEEE) of all that follows; per
// row a f32 scale; per row `dimension` int8. Row = scale * int8. A new format gets a new name in its first
// eight bytes.

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "worker/cache/semantic/embedder.h"

namespace tandem::semantic {

// The rows of a text's n-grams: rising, each once. `n_rows` > 0.
std::vector<uint32_t> ngram_rows(std::string_view text, uint32_t n_rows);

class NgramEmbedder final : public Embedder {
 public:
  static std::unique_ptr<NgramEmbedder> plain();
  // kNotFound, kIo; kCorrupt with the file's name, what was expected and what was found.
  static Result<std::unique_ptr<NgramEmbedder>> load(const std::filesystem::path& file);

  size_t dimension() const override { return dimension_; }
  Result<std::vector<float>> embed(std::string_view text) const override;
  const std::string& fingerprint() const override { return fingerprint_; }

 private:
  NgramEmbedder() = default;

  uint32_t n_rows_ = 0;
  size_t dimension_ = 0;
  std::vector<float> scales_;  // empty: plain
  std::vector<int8_t> rows_;
  std::string fingerprint_;
};

}  // namespace tandem::semantic
