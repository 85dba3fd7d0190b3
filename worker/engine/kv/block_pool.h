// The blocks of a KvCache: their memory, who holds them, and what is known of them. For kv_cache.cc only.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "shared/base/assert.h"
#include "worker/engine/kv/kv_cache.h"
#include "worker/engine/kv/prefix_index.h"
#include "worker/engine/tensor/float_buffer.h"

namespace tandem::engine {

// Free blocks are a stack with the lowest numbers on top at first, and what was given back last is taken
// first: a pool that is never full never touches the rest of its memory. Only when none is left, a published
// block that nobody holds is taken back.
struct KvCache::Pool {
  explicit Pool(size_t n_blocks) : n_owners(n_blocks, 0), notes(n_blocks), index(n_blocks) {
    for (size_t i = n_blocks; i > 0; --i) free.push_back(static_cast<uint32_t>(i - 1));
  }

  KvShape shape;
  FloatBuffer memory;
  std::vector<uint32_t> n_owners;
  std::vector<uint32_t> free;
  std::vector<BlockNotes> notes;
  PrefixIndex index;

  std::byte* at(uint32_t block) {
    return reinterpret_cast<std::byte*>(memory.data()) + block * shape.block_bytes();
  }
  size_t n_free() const { return free.size() + index.n_unheld(); }

  uint32_t take() {
    if (free.empty()) {
      const std::optional<uint32_t> oldest = index.oldest();
      TANDEM_ASSERT(oldest, "the caller has counted the free blocks");
      forget(*oldest);
    }
    const uint32_t block = free.back();
    free.pop_back();
    n_owners[block] = 1;
    notes[block] = {};
    return block;
  }
  // Nobody holds it and nobody knows it any more.
  void forget(uint32_t block) {
    index.remove(block);
    free.push_back(block);
  }
  void own(uint32_t block) {
    if (n_owners[block]++ == 0) index.hold(block);
  }
  void give_back(uint32_t block) {
    TANDEM_ASSERT(n_owners[block] > 0, "a block is given back once by each owner");
    if (--n_owners[block] > 0) return;
    if (index.has(block)) {
      index.let_go(block);
    } else {
      free.push_back(block);
    }
  }
  // Last block first, so that the beginning of a text, which more texts share, counts as used later.
  void give_back(std::vector<uint32_t>& blocks, size_t n_left) {
    for (; blocks.size() > n_left; blocks.pop_back()) give_back(blocks.back());
  }
  // All of it: whatever the layout, what is not filled yet will be written before it is read.
  void copy(uint32_t from, uint32_t to) { std::memcpy(at(to), at(from), shape.block_bytes()); }

  // A block of one's own with the content of a published one; there is a free block.
  uint32_t take_copy(uint32_t from) {
    if (index.is_held(from)) {
      const uint32_t to = take();
      copy(from, to);
      return to;
    }
    if (n_free() == 1) {  // it is the free block itself
      forget(from);
      return take();
    }
    own(from);  // or it might be the one that is taken back
    const uint32_t to = take();
    copy(from, to);
    give_back(from);
    return to;
  }
};

}  // namespace tandem::engine
