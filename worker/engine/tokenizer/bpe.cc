#include "worker/engine/tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace tandem::engine {
namespace {

// Up to here a piece is merged in arrays on the stack, where finding the lowest rank is one fast scan; beyond
// it a heap wins. Nearly every piece of real text is below 32 bytes, runs of Chinese below 128.
constexpr size_t kShortBytesMax = 128;

size_t hash_of(TokenId left, TokenId right) {
  const uint64_t both = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  return static_cast<size_t>((both * 0x9E3779B97F4A7C15u) >> 20);
}
size_t hash_of(std::string_view text) {
  return std::hash<std::string_view>{}(text);
}

}  // namespace

Bpe::Bpe(std::span<const std::string> tokens, const std::vector<bool>& added, std::span<const Merge> merges,
         const std::array<TokenId, 256>& byte_ids, bool ignore_merges)
    : tokens_(tokens), byte_ids_(byte_ids) {
  pairs_.resize(std::bit_ceil(merges.size() * 2 + 1));
  results_.reserve(merges.size());
  for (const Merge& merge : merges) {
    size_t slot = hash_of(merge.left, merge.right) & (pairs_.size() - 1);
    while (pairs_[slot].rank != kNone) slot = (slot + 1) & (pairs_.size() - 1);
    pairs_[slot] = {merge.left, merge.right, static_cast<uint32_t>(results_.size())};
    results_.push_back(merge.result);
  }

  // Most pieces of ordinary text are one token, so those are looked up whole. That is allowed where merging
  // would end there too, which is nearly but not quite the whole vocabulary.
  words_.resize(std::bit_ceil(tokens.size() * 2 + 1), -1);
  Tokens ids;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (added[id]) continue;
    ids.clear();
    if (!ignore_merges) {
      if (tokens_[id].size() <= kShortBytesMax) {
        merge_short(tokens_[id], ids);
      } else {
        merge_long(tokens_[id], ids);
      }
    }
    if (ignore_merges || (ids.size() == 1 && ids[0] == static_cast<TokenId>(id)))
      insert_word(static_cast<TokenId>(id));
  }
}

void Bpe::insert_word(TokenId id) {
  const std::string& word = tokens_[static_cast<size_t>(id)];
  size_t slot = hash_of(word) & (words_.size() - 1);
  while (words_[slot] >= 0) slot = (slot + 1) & (words_.size() - 1);
  words_[slot] = id;
  longest_word_ = std::max(longest_word_, word.size());
}

TokenId Bpe::find_word(std::string_view piece) const {
  if (piece.size() > longest_word_) return -1;
  size_t slot = hash_of(piece) & (words_.size() - 1);
  for (; words_[slot] >= 0; slot = (slot + 1) & (words_.size() - 1)) {
    if (tokens_[static_cast<size_t>(words_[slot])] == piece) return words_[slot];
  }
  return -1;
}

uint32_t Bpe::rank(TokenId left, TokenId right) const {
  size_t slot = hash_of(left, right) & (pairs_.size() - 1);
  for (; pairs_[slot].rank != kNone; slot = (slot + 1) & (pairs_.size() - 1)) {
    if (pairs_[slot].left == left && pairs_[slot].right == right) return pairs_[slot].rank;
  }
  return kNone;
}

void Bpe::encode(std::string_view piece, Tokens& out) const {
  if (piece.empty()) return;
  if (const TokenId id = find_word(piece); id >= 0) {
    out.push_back(id);
  } else if (piece.size() <= kShortBytesMax) {
    merge_short(piece, out);
  } else {
    merge_long(piece, out);
  }
}

void Bpe::merge_short(std::string_view piece, Tokens& out) const {
  TokenId ids[kShortBytesMax];
  uint32_t ranks[kShortBytesMax];  // of the pair that begins there
  size_t n = piece.size();
  for (size_t i = 0; i < n; ++i) ids[i] = byte_ids_[static_cast<uint8_t>(piece[i])];
  for (size_t i = 0; i + 1 < n; ++i) ranks[i] = rank(ids[i], ids[i + 1]);

  while (n > 1) {
    const size_t best = static_cast<size_t>(std::min_element(ranks, ranks + n - 1) - ranks);
    if (ranks[best] == kNone) break;
    ids[best] = results_[ranks[best]];
    std::copy(ids + best + 2, ids + n, ids + best + 1);
    std::copy(ranks + best + 1, ranks + n - 1, ranks + best);
    --n;
    if (best > 0) ranks[best - 1] = rank(ids[best - 1], ids[best]);
    if (best + 1 < n) ranks[best] = rank(ids[best], ids[best + 1]);
  }
  out.insert(out.end(), ids, ids + n);
}

void Bpe::merge_long(std::string_view piece, Tokens& out) const {
  struct Symbol {
    TokenId id;  // -1: joined into the one before it
    uint32_t previous, next;
  };
  const auto n = static_cast<uint32_t>(piece.size());
  std::vector<Symbol> symbols(n);
  for (uint32_t i = 0; i < n; ++i) symbols[i] = {byte_ids_[static_cast<uint8_t>(piece[i])], i - 1, i + 1};

  // Rank in front, then place: the smallest is the one to join next. What a later join has made untrue stays
  // in the heap and is known by its rank, which is then no longer the pair's.
  std::vector<uint64_t> heap;
  heap.reserve(n);
  const auto rank_at = [&](uint32_t i) {
    return symbols[i].id < 0 || symbols[i].next >= n ? kNone
                                                     : rank(symbols[i].id, symbols[symbols[i].next].id);
  };
  for (uint32_t i = 0; i < n; ++i) {
    if (const uint32_t r = rank_at(i); r != kNone) heap.push_back(uint64_t{r} << 32 | i);
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto offer = [&](uint32_t i) {
    if (const uint32_t r = rank_at(i); r != kNone) {
      heap.push_back(uint64_t{r} << 32 | i);
      std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
  };

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const auto r = static_cast<uint32_t>(heap.back() >> 32);
    const auto i = static_cast<uint32_t>(heap.back());
    heap.pop_back();
    if (rank_at(i) != r) continue;

    Symbol& left = symbols[i];
    Symbol& right = symbols[left.next];
    left.id = results_[r];
    left.next = right.next;
    right.id = -1;
    if (left.next < n) symbols[left.next].previous = i;
    if (i > 0) offer(left.previous);
    offer(i);
  }
  for (uint32_t i = 0; i < n; i = symbols[i].next) out.push_back(symbols[i].id);
}

}  // namespace tandem::engine
