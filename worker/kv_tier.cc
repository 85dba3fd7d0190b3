#include "worker/kv_tier.h"

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <utility>

#include "shared/base/assert.h"
#include "worker/engine/kernels/simd.h"

namespace tandem {

using engine::TokenId;

static_assert(kKvBlockTokens == engine::kBlockTokens, "the store's blocks are the cache's");

namespace {

// What was used when may be written late: all that a crash costs is that something goes before something
// older. A sync of the disk is worth so many.
constexpr size_t kUsesWorthACommit = 256;
constexpr uint64_t kUsesWaitingMax = 1024;

}  // namespace

KvIdentity kv_identity(const std::string& model_fingerprint, const engine::KvShape& shape) {
  return HashBuilder()
      .add(kKvFormat)
      .add(model_fingerprint)
      .add(engine::simd().name)  // without fused multiply-adds, the last bits are others
      .add(uint64_t{shape.n_layers})
      .add(uint64_t{shape.n_kv_heads})
      .add(uint64_t{shape.d_head})
      .add(uint64_t{shape.value_bytes()})
      .finish();
}

// Collects what the inference says and writes it in transactions of batch_bytes or so. On the writer's
// thread.
class KvTier::Writer {
 public:
  explicit Writer(KvTier& tier) : tier_(tier) {}

  void run() {
    for (std::vector<Note> notes = tier_.inbox_.wait(); !notes.empty(); notes = tier_.inbox_.wait()) {
      for (Note& note : notes) std::visit([this](auto& one) { hear(one); }, note);
      if (has_work_ || uses_.size() >= kUsesWorthACommit) write();
    }
    write();
  }

 private:
  struct Change {
    size_t n_tokens = 0;
    KvChange change;
  };

  void hear(Offered& offered) {
    const KvIdentity& identity = tier_.options_.store.identity;
    seal_kv_record(identity, offered.record);
    n_bytes_ += offered.record.size();
    work_.push_back({offered.text.size(),
                     {KvChange::Kind::kStore, kv_key(identity, offered.text), std::move(offered.record)}});
    has_work_ = true;
    if (n_bytes_ >= tier_.options_.batch_bytes) write();
  }

  void hear(Used& used) {
    tier_.n_used_waiting_.fetch_sub(1);
    for (size_t n = kKvBlockTokens; n <= used.text.size(); n += kKvBlockTokens) {
      const auto text = std::span<const TokenId>(used.text).first(n);
      uses_[kv_key(tier_.options_.store.identity, text)] = n;
    }
  }

  void hear(Damaged& damaged) {
    // First of all, or the good one that is stored in the same transaction would be taken for it.
    work_.push_back({SIZE_MAX, {KvChange::Kind::kRemoveIfBad, std::move(damaged.key)}});
    has_work_ = true;
  }

  // The beginning of a text counts as used after its end, because without it the end is of no use: the end
  // goes first.
  void write() {
    for (auto& [key, n_tokens] : uses_) work_.push_back({n_tokens, {KvChange::Kind::kUse, key}});
    uses_.clear();
    if (work_.empty()) return;
    std::ranges::stable_sort(work_, std::ranges::greater(), &Change::n_tokens);
    std::vector<KvChange> changes;
    changes.reserve(work_.size());
    uint64_t n_blocks = 0;
    for (Change& one : work_) {
      n_blocks += one.change.kind == KvChange::Kind::kStore ? 1 : 0;
      changes.push_back(std::move(one.change));
    }
    work_.clear();
    if (const auto written = tier_.store_.apply(changes); !written) {
      tier_.n_failed_ += n_blocks;
      if (!std::exchange(said_, true)) {
        tier_.log_.warn("prefixes not stored, said once: {}", written.error().text);
      }
    }
    tier_.queue_bytes_.fetch_sub(n_bytes_);
    n_bytes_ = 0;
    has_work_ = false;
    const KvStoreCounts& counts = tier_.store_.counts();
    tier_.n_stored_ = counts.stored;
    tier_.n_evicted_ = counts.evicted;
    tier_.n_damaged_ = counts.removed;
  }

  KvTier& tier_;
  std::vector<Change> work_;
  std::unordered_map<std::string, size_t> uses_;
  uint64_t n_bytes_ = 0;   // of records in work_
  bool has_work_ = false;  // more than uses
  bool said_ = false;
};

KvTier::KvTier(const KvTierOptions& options, KvStore store)
    : options_(options), store_(std::move(store)), content_(options.store.block_bytes) {
  writer_ = std::thread([this] { Writer(*this).run(); });
}

Result<std::unique_ptr<KvTier>> KvTier::open(const KvTierOptions& options) {
  TANDEM_ASSIGN(KvStore store, KvStore::open(options.store));
  return std::unique_ptr<KvTier>(new KvTier(options, std::move(store)));
}

KvTier::~KvTier() {
  inbox_.close();
  writer_.join();
}

std::optional<PrefixTier::Block> KvTier::load(std::span<const TokenId> text, size_t n_before,
                                              size_t n_known) {
  auto found = store_.find(text, n_before, n_known, content_);
  if (!found) {
    if (!std::exchange(said_, true)) log_.warn("prefixes not loaded, said once: {}", found.error().text);
    return std::nullopt;
  }
  for (std::string& key : found->damaged) inbox_.push(Damaged{std::move(key)});
  if (found->n_tokens == 0) return std::nullopt;
  ++n_loaded_;
  return Block{found->n_tokens, content_};
}

bool KvTier::offer(std::span<const TokenId> text, std::span<const std::byte> content) {
  const uint64_t n_bytes = content.size();
  if (queue_bytes_ > 0 && queue_bytes_ + n_bytes > options_.queue_bytes_max) {
    ++n_turned_away_;
    return false;
  }
  Offered offered{{text.begin(), text.end()}, open_kv_record(text, content)};
  queue_bytes_ += offered.record.size();
  inbox_.push(std::move(offered));
  return true;
}

void KvTier::used(std::span<const TokenId> text) {
  if (n_used_waiting_ >= kUsesWaitingMax) return;
  ++n_used_waiting_;
  inbox_.push(Used{{text.begin(), text.end()}});
}

KvTierFigures KvTier::figures() const {
  return {.loaded = n_loaded_,
          .stored = n_stored_,
          .evicted = n_evicted_,
          .damaged = n_damaged_,
          .turned_away = n_turned_away_,
          .failed = n_failed_,
          .totals = store_.totals().value_or(KvTotals{})};
}

void add_metrics(MetricPage& page, const KvTierFigures& figures) {
  const auto number = [](uint64_t value) { return static_cast<double>(value); };
  page.counter("tandem_prefix_loaded_blocks_total",
               "Blocks of keys and values that were read from the host's store and not computed.",
               number(figures.loaded));
  page.counter("tandem_prefix_stored_blocks_total", "Blocks written to the store.", number(figures.stored));
  page.counter("tandem_prefix_evicted_blocks_total", "Blocks that went to keep to the limit of bytes.",
               number(figures.evicted));
  page.counter("tandem_prefix_damaged_blocks_total", "Blocks removed because they were not what was stored.",
               number(figures.damaged));
  const char* const lost = "tandem_prefix_lost_blocks_total";
  const char* const help =
      "Blocks not stored. Behind: the writer had enough to do. Failed: the disk said no.";
  page.counter(lost, help, number(figures.turned_away), {{"reason", "behind"}});
  page.counter(lost, help, number(figures.failed), {{"reason", "failed"}});
  page.gauge("tandem_prefix_store_blocks", "Blocks in the host's store, of all models.",
             number(figures.totals.blocks));
  page.gauge("tandem_prefix_store_bytes", "What they take, of cache.prefix_bytes.",
             number(figures.totals.bytes));
}

}  // namespace tandem
