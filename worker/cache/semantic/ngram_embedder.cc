#include "worker/cache/semantic/ngram_embedder.h"

#include <algorithm>
#include <cmath>

#include "shared/base/file.h"
#include "shared/base/format.h"
#include "shared/base/hash.h"
#include "worker/cache/semantic/byte_fields.h"
#include "worker/cache/semantic/characters.h"
#include "worker/cache/semantic/crc32.h"
#include "worker/cache/semantic/words.h"

namespace tandem::semantic {
namespace {

constexpr std::string_view kMagic = "TDNGRAM1";
constexpr size_t kFileBytesMax = 256u << 20;
constexpr uint32_t kDimensionMax = 4096, kRowsMax = 1u << 22;
constexpr size_t kPlainDimension = 256;
constexpr uint32_t kPlainRows = 1u << 20;

// FNV-1a, folded: the trainer computes the same in a few lines.
uint64_t hash_of(std::u32string_view ngram) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char byte : to_utf8(ngram)) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001B3;
  return hash ^ (hash >> 32);
}

uint64_t splitmix(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

std::vector<uint32_t> ngram_rows(std::string_view text, uint32_t n_rows) {
  const std::vector<Word> words = words_of(characters_of(text));
  std::vector<uint32_t> rows;
  const auto add = [&](const std::u32string& ngram) {
    rows.push_back(static_cast<uint32_t>(hash_of(ngram) % n_rows));
  };
  for (size_t i = 0; i < words.size(); ++i) {
    const std::u32string& word = words[i].text;
    add(U"1" + word);
    if (i + 1 < words.size()) add(U"2" + word + U" " + words[i + 1].text);
    if (i + 2 < words.size() && words[i].han)
      add(U"3" + word + U" " + words[i + 1].text + U" " + words[i + 2].text);
    if (word.size() < 4) continue;
    const std::u32string padded = U"<" + word + U">";
    for (size_t at = 0; at + 4 <= padded.size(); ++at) add(U"4" + padded.substr(at, 4));
  }
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}

std::unique_ptr<NgramEmbedder> NgramEmbedder::plain() {
  std::unique_ptr<NgramEmbedder> embedder(new NgramEmbedder);
  embedder->n_rows_ = kPlainRows;
  embedder->dimension_ = kPlainDimension;
  embedder->fingerprint_ = "ngram plain 1";
  return embedder;
}

Result<std::unique_ptr<NgramEmbedder>> NgramEmbedder::load(const std::filesystem::path& file) {
  const Result<std::string> content = read_file(file, kFileBytesMax);
  if (!content) return fail(content.error());
  const std::string& bytes = *content;
  const auto corrupt = [&](const std::string& text) {
    return fail(ErrorCode::kCorrupt, file.string() + ": " + text);
  };
  if (!bytes.starts_with(kMagic)) return corrupt("expected a file that begins with TDNGRAM1");
  ByteReader in(std::string_view(bytes).substr(kMagic.size()));
  const uint32_t n_rows = in.u32(), dimension = in.u32(), crc = in.u32();
  if (in.failed() || n_rows == 0 || n_rows > kRowsMax || dimension == 0 || dimension > kDimensionMax) {
    return corrupt(fmt::format("expected 1 to {} rows of 1 to {} numbers, found {} of {}", kRowsMax,
                               kDimensionMax, n_rows, dimension));
  }
  const uint64_t n_expected = uint64_t{n_rows} * (4 + dimension);
  if (in.rest().size() != n_expected) {
    return corrupt(fmt::format("expected {} bytes of rows, found {}", n_expected, in.rest().size()));
  }
  if (const uint32_t found = crc32(in.rest()); found != crc) {
    return corrupt(fmt::format("expected the checksum {:08x}, found {:08x}", crc, found));
  }
  std::unique_ptr<NgramEmbedder> embedder(new NgramEmbedder);
  embedder->n_rows_ = n_rows;
  embedder->dimension_ = dimension;
  for (uint32_t i = 0; i < n_rows; ++i) {
    embedder->scales_.push_back(in.f32());
    if (!std::isfinite(embedder->scales_.back()))
      return corrupt(fmt::format("the scale of row {} is no number", i));
  }
  const std::string_view rows = in.rest();
  embedder->rows_.resize(rows.size());
  std::transform(rows.begin(), rows.end(), embedder->rows_.begin(),
                 [](char byte) { return static_cast<int8_t>(byte); });
  embedder->fingerprint_ = "ngram " + hash128(bytes).to_hex();
  return embedder;
}

// Sums in double, one row after the other: the order, and so every bit, is the same everywhere.
Result<std::vector<float>> NgramEmbedder::embed(std::string_view text) const {
  std::vector<double> sum(dimension_);
  for (const uint32_t row : ngram_rows(text, n_rows_)) {
    if (scales_.empty()) {
      for (size_t i = 0; i < dimension_; i += 64) {
        const uint64_t signs = splitmix(uint64_t{row} * (kPlainDimension / 64) + i / 64);
        for (size_t bit = 0; bit < 64; ++bit) sum[i + bit] += ((signs >> bit) & 1) != 0 ? 1.0 : -1.0;
      }
      continue;
    }
    const double scale = scales_[row];
    const int8_t* values = rows_.data() + row * dimension_;
    for (size_t i = 0; i < dimension_; ++i) sum[i] += scale * values[i];
  }
  double squares = 0;
  for (const double x : sum) squares += x * x;
  std::vector<float> unit(dimension_);
  if (squares <= 0) return unit;
  const double length = std::sqrt(squares);
  for (size_t i = 0; i < dimension_; ++i) unit[i] = static_cast<float>(sum[i] / length);
  return unit;
}

}  // namespace tandem::semantic
