// Keys and values of all tokens in flight, in blocks that sequences can share.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "shared/base/result.h"
#include "worker/engine/tokens.h"

namespace tandem::engine {

inline constexpr size_t kBlockTokens = 32;

// How keys and values are kept. f16 halves the memory and its traffic, and rounds each value to 11 bits.
enum class KvType : uint8_t { kF32, kF16 };

struct KvShape {
  size_t n_layers = 0;
  size_t n_kv_heads = 0;
  size_t d_head = 0;
  KvType type = KvType::kF32;

  size_t value_bytes() const { return type == KvType::kF32 ? sizeof(float) : sizeof(uint16_t); }
  size_t n_panels() const { return (d_head + kBlockTokens - 1) / kBlockTokens; }  // of 32 dimensions
  // Keys, or values, of one head in one block.
  size_t head_bytes() const { return n_panels() * kBlockTokens * kBlockTokens * value_bytes(); }
  size_t block_bytes() const { return n_layers * 2 * n_kv_heads * head_bytes(); }
};

// What the cache knows of a text's beginning.
struct KnownPrefix {
  size_t n_tokens = 0;         // keys and values that are there, short of the last token
  size_t n_blocks_shared = 0;  // full blocks among them; the tokens behind these are had by a copy
  size_t n_blocks_unheld = 0;  // of the shared ones, those that count as free until somebody shares them
};

// What is remembered of a block for as long as its content stays.
struct BlockNotes {
  uint8_t n_reuses = 0;  // sequences that began with it and had not computed it; stops at 255
  uint8_t n_stored = 0;  // of its tokens: their keys and values are kept outside of this cache, too
};

// The blocks of one sequence: block i holds tokens [i * kBlockTokens, (i + 1) * kBlockTokens).
// Made by KvCache; moved, never copied (KvCache::fork makes a second one). Belongs to the inference thread.
class KvSequence;

// A fixed pool of reference-counted blocks. One thread (the inference thread) uses it at a time.
//
// Layout of a block: for each layer the keys of each head, then the values of each head, both in the order in
// which the tiles of a product read weights:
//
//   keys    [d_head][32 tokens]
//   values  [d_head / 32, rounded up][32 tokens][32 dimensions]
//
// A full block is never written again, so it may be shared; a partly filled one has one owner.
//
// It is a prefix cache, too. Keys and values depend on the tokens up to their own and on nothing else, so
// whoever begins with the same tokens may have them. publish() makes a sequence's blocks known under (block
// in front, tokens), begin_with() finds them. Published blocks that no sequence holds stay until their room
// is needed: the least recently used go first, later blocks of a text before earlier ones. They count as
// free.
class KvCache {
 public:
  // Reserves (does not touch) n_blocks. kIo when the memory cannot be reserved.
  static Result<KvCache> create(const KvShape& shape, size_t n_blocks);
  ~KvCache();
  KvCache(KvCache&&) noexcept;
  KvCache& operator=(KvCache&&) noexcept;

  // An empty sequence; holds no block yet.
  KvSequence make_sequence();
  // What begin_with() would give now. At most tokens.size() - 1: the logits of the last one are wanted.
  KnownPrefix known_prefix(std::span<const TokenId> tokens) const;
  // A sequence that holds the longest known beginning of `tokens` already: full blocks are shared, and of the
  // block that goes on most alike, full or not, the first tokens are copied (about a millisecond for a model
  // of 0.5B; computing them costs that for each token). Without a free block it does without the copy.
  KvSequence begin_with(std::span<const TokenId> tokens);
  // Makes the sequence's blocks known. `tokens` are its first tokens, all computed; the last block may be
  // partly filled, and the sequence may go on in it. What was published before costs nothing. A block that
  // another sequence has published meanwhile is exchanged for that one, and its own is free. With `keep`,
  // blocks that are not kept are given up before these.
  void publish(KvSequence& sequence, std::span<const TokenId> tokens, bool keep = false);
  // Blocks that come and go by another way than by computing (scheduler/prefix_tier.h):
  // A sequence that holds the known full blocks of `tokens`, all of them, the last token included.
  KvSequence hold(std::span<const TokenId> tokens);
  // Appends a block with keys and values that were computed before: `text` is all tokens of the sequence
  // afterwards, 1 to 32 more than now, when it ends with a full block; `content` is as bytes() gave it. It is
  // published at once. False when no block is free.
  bool adopt(KvSequence& sequence, std::span<const TokenId> text, std::span<const std::byte> content);
  // The whole of the sequence's block `i`, shape().block_bytes(); what is behind its tokens means nothing.
  std::span<const std::byte> bytes(const KvSequence& sequence, size_t i) const;
  BlockNotes& notes(const KvSequence& sequence, size_t i);

  // A second sequence that begins with the first `n_tokens` of `from`: full blocks are shared, a partly
  // filled last one is copied. kFull when there is no block for the copy.
  Result<KvSequence> fork(const KvSequence& from, size_t n_tokens);
  // Makes room for `n_tokens` more tokens in `sequence`. kFull leaves it as it was.
  Result<void> reserve(KvSequence& sequence, size_t n_tokens);
  // Forgets the last tokens until `n_tokens` are left.
  void truncate(KvSequence& sequence, size_t n_tokens);

  size_t n_blocks() const;
  size_t n_blocks_free() const;       // that no sequence holds
  size_t n_blocks_published() const;  // of these, the ones that still hold something known
  const KvShape& shape() const;

  // Of one head in one block, for the attention kernel: float or f16 bits, as shape().type says.
  std::byte* keys(uint32_t block, size_t layer, size_t kv_head);
  std::byte* values(uint32_t block, size_t layer, size_t kv_head);

 private:
  friend class KvSequence;
  struct Pool;
  explicit KvCache(std::shared_ptr<Pool> pool);
  std::shared_ptr<Pool> pool_;
};

class KvSequence {
 public:
  KvSequence() = default;  // empty, of no cache
  ~KvSequence();           // gives its blocks back
  KvSequence(KvSequence&&) noexcept;
  KvSequence& operator=(KvSequence&&) noexcept;

  size_t n_tokens() const { return n_tokens_; }  // tokens whose keys and values are there
  std::span<const uint32_t> blocks() const { return blocks_; }

 private:
  friend class KvCache;
  friend class Model;
  std::shared_ptr<KvCache::Pool> pool_;
  std::vector<uint32_t> blocks_;
  size_t n_tokens_ = 0;
  size_t n_published_ = 0;  // first tokens that are in the tree, in the blocks held here
};

}  // namespace tandem::engine
