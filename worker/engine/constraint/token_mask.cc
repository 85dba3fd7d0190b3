#include "worker/engine/constraint/token_mask.h"

#include <algorithm>
#include <limits>

namespace tandem::engine {
namespace {

constexpr float kOut = -std::numeric_limits<float>::infinity();

}  // namespace

TokenMask::TokenMask(std::vector<TokenId> ids, size_t n_vocab) : size_(ids.size()) {
  if (ids.empty()) return;
  first_ = *std::min_element(ids.begin(), ids.end());
  // A list is smaller than bits, and apply() looks at its tokens only.
  if (ids.size() * 32 <= n_vocab) {
    std::sort(ids.begin(), ids.end());
    few_ = std::move(ids);
    return;
  }
  bits_.resize((n_vocab + 63) / 64);
  for (const TokenId id : ids) bits_[static_cast<size_t>(id) / 64] |= uint64_t{1} << id % 64;
}

bool TokenMask::contains(TokenId id) const {
  if (id < 0) return false;
  if (bits_.empty()) return std::binary_search(few_.begin(), few_.end(), id);
  const size_t word = static_cast<size_t>(id) / 64;
  return word < bits_.size() && (bits_[word] >> id % 64 & 1) != 0;
}

void TokenMask::apply(std::span<float> logits) const {
  if (bits_.empty()) {
    std::vector<float> kept;
    kept.reserve(few_.size());
    for (const TokenId id : few_) {
      if (static_cast<size_t>(id) < logits.size()) kept.push_back(logits[static_cast<size_t>(id)]);
    }
    std::fill(logits.begin(), logits.end(), kOut);
    for (size_t i = 0; i < kept.size(); ++i) logits[static_cast<size_t>(few_[i])] = kept[i];
    return;
  }
  const size_t n_words = std::min(bits_.size(), (logits.size() + 63) / 64);
  for (size_t word = 0; word < n_words; ++word) {
    const uint64_t bits = bits_[word];
    if (bits == ~uint64_t{0}) continue;
    const size_t from = word * 64, n = std::min<size_t>(64, logits.size() - from);
    float* at = logits.data() + from;
    // Without a jump for each bit: masks of text are dense and without a pattern.
    for (size_t i = 0; i < n; ++i) at[i] = (bits >> i & 1) != 0 ? at[i] : kOut;
  }
  if (n_words * 64 < logits.size())
    std::fill(logits.begin() + static_cast<std::ptrdiff_t>(n_words * 64), logits.end(), kOut);
}

}  // namespace tandem::engine
