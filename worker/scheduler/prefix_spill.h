// What goes between the KV cache and the tier behind it (prefix_tier.h), and what is worth it.

#pragma once

#include <cstddef>
#include <span>

#include "worker/engine/kv/kv_cache.h"
#include "worker/scheduler/prefix_tier.h"

namespace tandem {

// A full block is worth storing when so many sequences found it in memory: more than the tasks of one usual
// job, which all read the same text within a second and never again.
inline constexpr size_t kReusesWorthStoring = 8;

struct LoadedPrefix {
  engine::KvSequence held;  // the blocks of the beginning that are in memory now, last one perhaps not full
  size_t n_loaded = 0;      // tokens of it that came from the tier
};
// Brings into the KV cache what the tier has of the beginning of `tokens` and the cache has not. When `held`
// goes, the blocks stay as any that nobody holds: the number of free blocks is what it was.
LoadedPrefix load_prefix(engine::KvCache& kv, PrefixTier& tier, std::span<const engine::TokenId> tokens);

// Offers the blocks of `tokens`, the first ones of the sequence, that are not stored yet, as far as the tier
// takes them. The last block may be partly filled.
void offer_all(engine::KvCache& kv, PrefixTier& tier, const engine::KvSequence& sequence,
               std::span<const engine::TokenId> tokens);

// The sequence has just begun with its first full blocks: offers those that were found often enough, and says
// of those that are stored that they were used.
void offer_reused(engine::KvCache& kv, PrefixTier& tier, const engine::KvSequence& sequence,
                  std::span<const engine::TokenId> tokens);

}  // namespace tandem
