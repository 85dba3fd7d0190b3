#include "worker/engine/kv/kv_cache.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "shared/base/assert.h"
#include "worker/engine/kv/block_pool.h"

namespace tandem::engine {

namespace {

size_t blocks_for(size_t n_tokens) {
  return (n_tokens + kBlockTokens - 1) / kBlockTokens;
}

// The longest known beginning: blocks to share, and one to copy the first tokens of.
struct Found {
  std::vector<uint32_t> shared;
  PrefixIndex::Match copied;
};
Found find(const PrefixIndex& index, std::span<const TokenId> rest) {
  Found found;
  uint32_t parent = PrefixIndex::kRoot;
  while (!rest.empty()) {
    const std::span<const TokenId> next = rest.first(std::min(rest.size(), kBlockTokens));
    const PrefixIndex::Match match = index.best(parent, next);
    if (match.n_tokens < kBlockTokens) {
      found.copied = match;
      break;
    }
    found.shared.push_back(match.block);
    parent = match.block;
    rest = rest.subspan(kBlockTokens);
  }
  return found;
}

// The logits of the last one are wanted.
std::span<const TokenId> but_the_last(std::span<const TokenId> tokens) {
  return tokens.first(tokens.empty() ? 0 : tokens.size() - 1);
}

}  // namespace

Result<KvCache> KvCache::create(const KvShape& shape, size_t n_blocks) {
  TANDEM_ASSERT(shape.block_bytes() > 0, "a model has layers, heads and a head size");
  size_t n_bytes = 0;
  if (n_blocks > std::numeric_limits<uint32_t>::max() ||
      __builtin_mul_overflow(n_blocks, shape.block_bytes(), &n_bytes)) {
    return fail(ErrorCode::kIo,
                "cannot reserve " + std::to_string(n_blocks) + " blocks of KV cache: too many");
  }
  auto memory = FloatBuffer::reserve(n_bytes / sizeof(float));
  if (!memory) return fail_in("KV cache of " + std::to_string(n_blocks) + " blocks", memory.error());
  auto pool = std::make_shared<Pool>(n_blocks);
  pool->shape = shape;
  pool->memory = std::move(*memory);
  return KvCache(std::move(pool));
}

KvCache::KvCache(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}
KvCache::~KvCache() = default;
KvCache::KvCache(KvCache&&) noexcept = default;
KvCache& KvCache::operator=(KvCache&&) noexcept = default;

KvSequence KvCache::make_sequence() {
  KvSequence sequence;
  sequence.pool_ = pool_;
  return sequence;
}

KnownPrefix KvCache::known_prefix(std::span<const TokenId> tokens) const {
  const Found found = find(pool_->index, but_the_last(tokens));
  KnownPrefix known;
  known.n_blocks_shared = found.shared.size();
  known.n_tokens = found.shared.size() * kBlockTokens + found.copied.n_tokens;
  for (const uint32_t block : found.shared) known.n_blocks_unheld += pool_->index.is_held(block) ? 0 : 1;
  return known;
}

KvSequence KvCache::begin_with(std::span<const TokenId> tokens) {
  const Found found = find(pool_->index, but_the_last(tokens));
  KvSequence sequence = make_sequence();
  sequence.blocks_ = found.shared;
  for (const uint32_t block : found.shared) {
    pool_->own(block);
    if (uint8_t& n_reuses = pool_->notes[block].n_reuses; n_reuses < UINT8_MAX) ++n_reuses;
  }
  sequence.n_tokens_ = sequence.n_published_ = found.shared.size() * kBlockTokens;
  if (found.copied.n_tokens > 0 && pool_->n_free() > 0) {
    pool_->index.touch(found.copied.block);
    sequence.blocks_.push_back(pool_->take_copy(found.copied.block));
    sequence.n_tokens_ += found.copied.n_tokens;
  }
  return sequence;
}

void KvCache::publish(KvSequence& sequence, std::span<const TokenId> tokens, bool keep) {
  TANDEM_ASSERT(sequence.pool_ == pool_ && tokens.size() <= sequence.n_tokens_,
                "what is published has been computed");
  PrefixIndex& index = pool_->index;
  size_t i = keep ? 0 : sequence.n_published_ / kBlockTokens;
  for (; i * kBlockTokens < tokens.size(); ++i) {
    const size_t begin = i * kBlockTokens;
    const std::span<const TokenId> part =
        tokens.subspan(begin, std::min(tokens.size() - begin, kBlockTokens));
    const uint32_t parent = i == 0 ? PrefixIndex::kRoot : sequence.blocks_[i - 1];
    uint32_t& block = sequence.blocks_[i];

    if (index.n_tokens(block) < part.size()) {
      if (index.has(block)) index.remove(block);  // it goes on; it stands in the tree with more tokens now
      const PrefixIndex::Match alike = index.best(parent, part);
      const bool is_known = alike.n_tokens == part.size();
      const bool is_same = is_known && index.n_tokens(alike.block) == part.size();
      if (is_same && part.size() == kBlockTokens) {
        pool_->own(alike.block);
        pool_->give_back(block);
        block = alike.block;
      } else if (is_same || (is_known && !keep)) {
        if (is_same && keep) index.keep(alike.block);
        return;  // a longer one says the same already
      } else {
        index.add(parent, part, block);
        // What begins this block and nothing else is of no use beside it.
        const bool is_less = alike.n_tokens > 0 && index.n_tokens(alike.block) == alike.n_tokens;
        if (is_less && !index.is_held(alike.block) && !index.is_kept(alike.block)) pool_->forget(alike.block);
      }
    }
    if (keep) index.keep(block);
    sequence.n_published_ = std::max(sequence.n_published_, begin + part.size());
  }
}

KvSequence KvCache::hold(std::span<const TokenId> tokens) {
  KvSequence sequence = make_sequence();
  sequence.blocks_ = find(pool_->index, tokens).shared;
  for (const uint32_t block : sequence.blocks_) pool_->own(block);
  sequence.n_tokens_ = sequence.n_published_ = sequence.blocks_.size() * kBlockTokens;
  return sequence;
}

bool KvCache::adopt(KvSequence& sequence, std::span<const TokenId> text, std::span<const std::byte> content) {
  TANDEM_ASSERT(sequence.pool_ == pool_ && sequence.n_tokens_ % kBlockTokens == 0 &&
                    text.size() > sequence.n_tokens_ && text.size() <= sequence.n_tokens_ + kBlockTokens,
                "a block goes behind full ones");
  TANDEM_ASSERT(content.size() == pool_->shape.block_bytes(), "blocks of this shape only");
  if (pool_->n_free() == 0) return false;
  const uint32_t block = pool_->take();
  std::memcpy(pool_->at(block), content.data(), content.size());
  pool_->notes[block].n_stored = static_cast<uint8_t>(text.size() - sequence.n_tokens_);
  sequence.blocks_.push_back(block);
  sequence.n_tokens_ = text.size();
  publish(sequence, text);
  return true;
}

std::span<const std::byte> KvCache::bytes(const KvSequence& sequence, size_t i) const {
  return {pool_->at(sequence.blocks_[i]), pool_->shape.block_bytes()};
}

BlockNotes& KvCache::notes(const KvSequence& sequence, size_t i) {
  return pool_->notes[sequence.blocks_[i]];
}

Result<KvSequence> KvCache::fork(const KvSequence& from, size_t n_tokens) {
  TANDEM_ASSERT(from.pool_ == pool_ && n_tokens <= from.n_tokens(),
                "a fork begins with tokens that are there");
  const size_t n_shared = n_tokens / kBlockTokens, n_copied = n_tokens % kBlockTokens;
  if (n_copied > 0 && pool_->n_free() == 0) {
    return fail(ErrorCode::kFull,
                "expected a free KV block for the copy of a partly filled one, found none of " +
                    std::to_string(n_blocks()));
  }
  KvSequence sequence = make_sequence();
  sequence.blocks_.assign(from.blocks_.begin(), from.blocks_.begin() + static_cast<ptrdiff_t>(n_shared));
  for (const uint32_t block : sequence.blocks_) pool_->own(block);
  if (n_copied > 0) {
    const uint32_t copy = pool_->take();
    pool_->copy(from.blocks_[n_shared], copy);
    sequence.blocks_.push_back(copy);
  }
  sequence.n_tokens_ = n_tokens;
  sequence.n_published_ = std::min(from.n_published_, n_shared * kBlockTokens);
  return sequence;
}

Result<void> KvCache::reserve(KvSequence& sequence, size_t n_tokens) {
  TANDEM_ASSERT(sequence.pool_ == pool_, "a sequence stays with its cache");
  if (n_tokens == 0) return {};
  const size_t n_have = sequence.blocks_.size();
  const size_t n_need = blocks_for(sequence.n_tokens_ + n_tokens);
  // By truncate() only, a block becomes partly filled that somebody else reads further: another owner, or who
  // finds it in the tree. It is copied before anybody writes into it.
  const size_t n_filled = sequence.n_tokens_ % kBlockTokens;
  uint32_t* const last = n_filled > 0 ? &sequence.blocks_[sequence.n_tokens_ / kBlockTokens] : nullptr;
  const bool copies =
      last != nullptr && (pool_->n_owners[*last] > 1 || pool_->index.n_tokens(*last) > n_filled);

  const size_t n_new = (n_need > n_have ? n_need - n_have : 0) + (copies ? 1 : 0);
  if (n_new > pool_->n_free()) {
    return fail(ErrorCode::kFull, "expected " + std::to_string(n_new) + " free KV blocks, found " +
                                      std::to_string(pool_->n_free()) + " of " + std::to_string(n_blocks()));
  }
  if (copies) {
    const uint32_t copy = pool_->take();
    pool_->copy(*last, copy);
    pool_->give_back(*last);
    *last = copy;
    sequence.n_published_ = std::min(sequence.n_published_, sequence.n_tokens_ - n_filled);
  }
  while (sequence.blocks_.size() < n_need) sequence.blocks_.push_back(pool_->take());
  return {};
}

void KvCache::truncate(KvSequence& sequence, size_t n_tokens) {
  TANDEM_ASSERT(sequence.pool_ == pool_ && n_tokens <= sequence.n_tokens_,
                "only tokens that are there are forgotten");
  pool_->give_back(sequence.blocks_, blocks_for(n_tokens));
  sequence.n_tokens_ = n_tokens;
  sequence.n_published_ = std::min(sequence.n_published_, n_tokens);
}

size_t KvCache::n_blocks() const {
  return pool_->n_owners.size();
}
size_t KvCache::n_blocks_free() const {
  return pool_->n_free();
}
size_t KvCache::n_blocks_published() const {
  return pool_->index.n_unheld();
}
const KvShape& KvCache::shape() const {
  return pool_->shape;
}

std::byte* KvCache::keys(uint32_t block, size_t layer, size_t kv_head) {
  const KvShape& shape = pool_->shape;
  return pool_->at(block) + (layer * 2 * shape.n_kv_heads + kv_head) * shape.head_bytes();
}

std::byte* KvCache::values(uint32_t block, size_t layer, size_t kv_head) {
  return keys(block, layer, pool_->shape.n_kv_heads + kv_head);
}

KvSequence::~KvSequence() {
  if (pool_) pool_->give_back(blocks_, 0);
}

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(std::move(other.pool_)),
      blocks_(std::exchange(other.blocks_, {})),
      n_tokens_(std::exchange(other.n_tokens_, 0)),
      n_published_(std::exchange(other.n_published_, 0)) {}

KvSequence& KvSequence::operator=(KvSequence&& other) noexcept {
  KvSequence old(std::move(*this));  // gives the blocks held so far back
  std::swap(pool_, other.pool_);
  std::swap(blocks_, other.blocks_);
  std::swap(n_tokens_, other.n_tokens_);
  std::swap(n_published_, other.n_published_);
  return *this;
}

}  // namespace tandem::engine
