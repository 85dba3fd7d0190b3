#include "worker/engine/kv/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "shared/base/assert.h"
#include "worker/engine/tensor/float_buffer.h"

namespace tandem::engine {

// Free blocks are a stack with the lowest numbers on top at first, and what was given back last is taken
// first: a pool that is never full never touches the rest of its memory.
struct KvCache::Pool {
  KvShape shape;
  FloatBuffer memory;
  std::vector<uint32_t> n_owners;
  std::vector<uint32_t> free;

  std::byte* at(uint32_t block) {
    return reinterpret_cast<std::byte*>(memory.data()) + block * shape.block_bytes();
  }

  uint32_t take() {
    TANDEM_ASSERT(!free.empty(), "the caller has counted the free blocks");
    const uint32_t block = free.back();
    free.pop_back();
    n_owners[block] = 1;
    return block;
  }
  void give_back(uint32_t block) {
    TANDEM_ASSERT(n_owners[block] > 0, "a block is given back once by each owner");
    if (--n_owners[block] == 0) free.push_back(block);
  }
  void copy(uint32_t from, uint32_t to) { std::memcpy(at(to), at(from), shape.block_bytes()); }
};

namespace {

size_t blocks_for(size_t n_tokens) {
  return (n_tokens + kBlockTokens - 1) / kBlockTokens;
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
  auto pool = std::make_shared<Pool>();
  auto memory = FloatBuffer::reserve(n_bytes / sizeof(float));
  if (!memory) return fail_in("KV cache of " + std::to_string(n_blocks) + " blocks", memory.error());
  pool->shape = shape;
  pool->memory = std::move(*memory);
  pool->n_owners.assign(n_blocks, 0);
  for (size_t i = n_blocks; i > 0; --i) pool->free.push_back(static_cast<uint32_t>(i - 1));
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

Result<KvSequence> KvCache::fork(const KvSequence& from, size_t n_tokens) {
  TANDEM_ASSERT(from.pool_ == pool_ && n_tokens <= from.n_tokens(),
                "a fork begins with tokens that are there");
  const size_t n_shared = n_tokens / kBlockTokens, n_copied = n_tokens % kBlockTokens;
  if (n_copied > 0 && pool_->free.empty()) {
    return fail(ErrorCode::kFull,
                "expected a free KV block for the copy of a partly filled one, found none of " +
                    std::to_string(n_blocks()));
  }
  KvSequence sequence = make_sequence();
  sequence.blocks_.assign(from.blocks_.begin(), from.blocks_.begin() + static_cast<ptrdiff_t>(n_shared));
  for (const uint32_t block : sequence.blocks_) ++pool_->n_owners[block];
  if (n_copied > 0) {
    const uint32_t copy = pool_->take();
    pool_->copy(from.blocks_[n_shared], copy);
    sequence.blocks_.push_back(copy);
  }
  sequence.n_tokens_ = n_tokens;
  return sequence;
}

Result<void> KvCache::reserve(KvSequence& sequence, size_t n_tokens) {
  TANDEM_ASSERT(sequence.pool_ == pool_, "a sequence stays with its cache");
  if (n_tokens == 0) return {};
  const size_t n_have = sequence.blocks_.size();
  const size_t n_need = blocks_for(sequence.n_tokens_ + n_tokens);
  // A shared block becomes partly filled only by truncate(); it is copied before anybody writes into it.
  const size_t n_filled = sequence.n_tokens_ % kBlockTokens;
  uint32_t* const last = n_filled > 0 ? &sequence.blocks_[sequence.n_tokens_ / kBlockTokens] : nullptr;
  const bool copies = last != nullptr && pool_->n_owners[*last] > 1;

  const size_t n_new = (n_need > n_have ? n_need - n_have : 0) + (copies ? 1 : 0);
  if (n_new > pool_->free.size()) {
    return fail(ErrorCode::kFull, "expected " + std::to_string(n_new) + " free KV blocks, found " +
                                      std::to_string(pool_->free.size()) + " of " +
                                      std::to_string(n_blocks()));
  }
  if (copies) {
    const uint32_t copy = pool_->take();
    pool_->copy(*last, copy);
    pool_->give_back(*last);
    *last = copy;
  }
  while (sequence.blocks_.size() < n_need) sequence.blocks_.push_back(pool_->take());
  return {};
}

void KvCache::truncate(KvSequence& sequence, size_t n_tokens) {
  TANDEM_ASSERT(sequence.pool_ == pool_ && n_tokens <= sequence.n_tokens_,
                "only tokens that are there are forgotten");
  while (sequence.blocks_.size() > blocks_for(n_tokens)) {
    pool_->give_back(sequence.blocks_.back());
    sequence.blocks_.pop_back();
  }
  sequence.n_tokens_ = n_tokens;
}

size_t KvCache::n_blocks() const {
  return pool_->n_owners.size();
}
size_t KvCache::n_blocks_free() const {
  return pool_->free.size();
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
  for (const uint32_t block : blocks_) pool_->give_back(block);
}

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(std::move(other.pool_)),
      blocks_(std::exchange(other.blocks_, {})),
      n_tokens_(std::exchange(other.n_tokens_, 0)) {}

KvSequence& KvSequence::operator=(KvSequence&& other) noexcept {
  KvSequence old(std::move(*this));  // gives the blocks held so far back
  std::swap(pool_, other.pool_);
  std::swap(blocks_, other.blocks_);
  std::swap(n_tokens_, other.n_tokens_);
  return *this;
}

}  // namespace tandem::engine
