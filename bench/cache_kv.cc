// What it takes to load the keys and values of a beginning, against computing them.

#include "bench/cache_parts.h"

#include <chrono>

#include "bench/median.h"
#include "shared/base/assert.h"
#include "tests/support/temp_dir.h"
#include "worker/engine/model/model.h"
#include "worker/kv_tier.h"
#include "worker/scheduler/prefix_spill.h"

namespace tandem::bench {
namespace {

constexpr size_t kTokens = 256;

template <typename Act>
double ms_of(Act&& act) {
  const auto begin = std::chrono::steady_clock::now();
  act();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

Result<void> measure(const std::filesystem::path& folder, size_t n_rounds, Report& report) {
  TANDEM_ASSIGN(const auto model, engine::Model::load(folder, {.n_threads = 1,
                                                               .compute = engine::ComputeType::kBf16,
                                                               .kv = engine::KvType::kF16}));
  const engine::KvShape shape = model->kv_shape();
  engine::Tokens tokens(kTokens);
  for (size_t i = 0; i < kTokens; ++i) {
    tokens[i] = static_cast<engine::TokenId>(i * 7919 % model->config().n_vocab);
  }
  const testing::TempDir place;
  const KvTierOptions options{.store = {.folder = place / "prefix",
                                        .identity = kv_identity(model->fingerprint(), shape),
                                        .block_bytes = shape.block_bytes()}};
  std::vector<double> computed, loaded;
  for (size_t round = 0; round < n_rounds; ++round) {
    TANDEM_ASSIGN(engine::KvCache kv, engine::KvCache::create(shape, kTokens / engine::kBlockTokens + 1));
    engine::KvSequence sequence = kv.make_sequence();
    TANDEM_TRY(kv.reserve(sequence, kTokens));
    engine::Logits logits;
    const engine::BatchRow row{.kv = &sequence, .tokens = tokens, .n_logits = 0};
    computed.push_back(ms_of([&] { model->forward({&row, 1}, kv, logits); }));
    TANDEM_ASSIGN(const auto tier, KvTier::open(options));
    offer_all(kv, *tier, sequence, tokens);
  }
  for (size_t round = 0; round < n_rounds; ++round) {
    TANDEM_ASSIGN(engine::KvCache kv, engine::KvCache::create(shape, kTokens / engine::kBlockTokens + 1));
    TANDEM_ASSIGN(const auto tier, KvTier::open(options));
    size_t n_loaded = 0;
    loaded.push_back(ms_of([&] { n_loaded = load_prefix(kv, *tier, tokens).n_loaded; }));
    TANDEM_ASSERT(n_loaded == kTokens, "what was stored is there");
  }
  const std::string size =
      fmt::format("{} tokens, {:.1f} MiB", kTokens,
                  static_cast<double>(kTokens / engine::kBlockTokens * shape.block_bytes()) /
                      static_cast<double>(1 << 20));
  report.add({"cache.kv.load", median(loaded), "ms", std::nullopt, size + ", from the page cache, checked"});
  report.add({"cache.kv.compute", median(computed), "ms", std::nullopt, size + ", one thread, bf16"});
  return {};
}

}  // namespace

void measure_kv(const std::filesystem::path& model, bool quick, Report& report) {
  const auto measured = measure(model, quick ? 1 : 9, report);
  if (!measured) fmt::print(stderr, "{}\n", measured.error().text);
  TANDEM_ASSERT(measured, "the model loads, and a temporary folder takes a store");
}

}  // namespace tandem::bench
