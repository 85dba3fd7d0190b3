#include "worker/scheduler/prefix_spill.h"

#include <algorithm>

namespace tandem {

using engine::kBlockTokens;
using engine::TokenId;

namespace {

// False when the tier does not take it now.
bool offer(engine::KvCache& kv, PrefixTier& tier, const engine::KvSequence& sequence,
           std::span<const TokenId> tokens, size_t i) {
  const size_t end = std::min((i + 1) * kBlockTokens, tokens.size());
  const auto n_tokens = static_cast<uint8_t>(end - i * kBlockTokens);
  engine::BlockNotes& notes = kv.notes(sequence, i);
  if (notes.n_stored >= n_tokens) return true;
  if (!tier.offer(tokens.first(end), kv.bytes(sequence, i))) return false;
  notes.n_stored = n_tokens;
  return true;
}

}  // namespace

LoadedPrefix load_prefix(engine::KvCache& kv, PrefixTier& tier, std::span<const TokenId> tokens) {
  LoadedPrefix prefix{kv.hold(tokens), 0};
  const size_t n_known = kv.known_prefix(tokens).n_tokens;
  while (prefix.held.n_tokens() < tokens.size() && prefix.held.n_tokens() % kBlockTokens == 0) {
    const size_t n_before = prefix.held.n_tokens();
    const auto block = tier.load(tokens, n_before, std::max(n_before, n_known));
    if (!block || !kv.adopt(prefix.held, tokens.first(n_before + block->n_tokens), block->content)) break;
    prefix.n_loaded += block->n_tokens;
  }
  return prefix;
}

void offer_all(engine::KvCache& kv, PrefixTier& tier, const engine::KvSequence& sequence,
               std::span<const TokenId> tokens) {
  for (size_t i = 0; i * kBlockTokens < tokens.size(); ++i) {
    if (!offer(kv, tier, sequence, tokens, i)) return;
  }
}

void offer_reused(engine::KvCache& kv, PrefixTier& tier, const engine::KvSequence& sequence,
                  std::span<const TokenId> tokens) {
  const size_t n_full = sequence.n_tokens() / kBlockTokens;
  size_t n_stored = 0;
  while (n_stored < n_full && kv.notes(sequence, n_stored).n_stored == kBlockTokens) ++n_stored;
  if (n_stored > 0) tier.used(tokens.first(n_stored * kBlockTokens));
  for (size_t i = n_stored; i < n_full; ++i) {
    if (kv.notes(sequence, i).n_reuses < kReusesWorthStoring || !offer(kv, tier, sequence, tokens, i)) return;
  }
}

}  // namespace tandem
