#include "worker/cache/answer_cache.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "worker/cache/answer_record.h"
#include "worker/cache/answer_store.h"

namespace tandem {
namespace {

// What may wait for flush(): bounds for a caller that never calls it.
constexpr size_t kPendingChangesMax = 16'384;
constexpr size_t kPendingBytesMax = 4u << 20;
// A commit costs a sync of the disk, hundreds of microseconds. What was used last may be late; all a crash
// can cost is that an old answer goes before a slightly older one.
constexpr size_t kUsesWorthACommit = 1000;

uint64_t default_map_bytes(uint64_t bytes_max) {
  constexpr uint64_t kSpare = 64u << 20;  // pages of snapshots, and those that a transaction rewrites
  return 2 * bytes_max + kSpare;
}

struct KeyHash {
  size_t operator()(const Hash128& key) const noexcept {
    uint64_t low = 0;
    std::memcpy(&low, key.bytes.data(), sizeof low);  // as good as random: it is a hash
    return low;
  }
};

TaskResult as_hit(TaskResult result) {
  result.source = AnswerSource::kExact;
  result.usage.cached_tokens = result.usage.prompt_tokens;
  result.usage.computed_tokens = 0;
  result.timings = {};
  result.batch_size = 0;
  return result;
}

class StoredAnswerCache final : public AnswerCache {
 public:
  StoredAnswerCache(AnswerStore store, const AnswerCacheOptions& options, const Clock& clock)
      : store_(std::move(store)), options_(options), clock_(clock) {}

  // Best effort: nobody is left to hear of an error.
  ~StoredAnswerCache() override { (void)write_pending(); }

  Result<std::optional<TaskResult>> find(const Hash128& key) override;
  Result<void> store(const Hash128& key, const TaskResult& result, std::chrono::seconds ttl) override;
  Result<void> flush() override;
  Result<void> clear() override;
  AnswerCacheStats stats() const override;
  const std::string& note() const override { return store_.note(); }

 private:
  struct Pending {
    AnswerChange::Kind kind = AnswerChange::Kind::kTouch;
    std::string record;
    uint64_t use = 0;  // the order of last use
  };

  Result<std::optional<TaskResult>> find_in(const Hash128& key, std::string_view bytes);
  Result<std::optional<TaskResult>> miss();
  Result<void> remember(const Hash128& key, AnswerChange::Kind kind, std::string record);
  Result<void> write_pending();

  AnswerStore store_;
  AnswerCacheOptions options_;
  const Clock& clock_;
  std::unordered_map<Hash128, Pending, KeyHash> pending_;
  size_t pending_bytes_ = 0;
  bool has_changes_ = false;  // more than uses are pending
  uint64_t n_uses_ = 0;
  AnswerCacheStats stats_;
};

Result<std::optional<TaskResult>> StoredAnswerCache::find(const Hash128& key) {
  const auto waiting = pending_.find(key);
  if (waiting != pending_.end() && waiting->second.kind == AnswerChange::Kind::kStore) {
    const std::string bytes = waiting->second.record;
    return find_in(key, bytes);
  }
  auto bytes = store_.get(key);
  if (!bytes) {
    ++stats_.misses;
    return fail(bytes.error());
  }
  if (!*bytes) return miss();
  return find_in(key, **bytes);
}

Result<std::optional<TaskResult>> StoredAnswerCache::find_in(const Hash128& key, std::string_view bytes) {
  const std::optional<AnswerRecord> record = read_record(key, bytes);
  const bool expired = record && record->expired(clock_.wall_ms());
  auto payload = record && !expired ? decode_job_result(record->payload)
                                    : Result<JobResult>(fail(ErrorCode::kNotFound, ""));
  if (!payload || payload->tasks.size() != 1) {
    stats_.expired += expired;
    TANDEM_TRY(remember(key, AnswerChange::Kind::kRemoveIfBad, ""));
    return miss();
  }
  ++stats_.hits;
  TANDEM_TRY(remember(key, AnswerChange::Kind::kTouch, ""));
  return std::optional(as_hit(std::move(payload->tasks.front())));
}

Result<std::optional<TaskResult>> StoredAnswerCache::miss() {
  ++stats_.misses;
  return std::optional<TaskResult>();
}

Result<void> StoredAnswerCache::store(const Hash128& key, const TaskResult& result,
                                      std::chrono::seconds ttl) {
  if (!worth_caching(result) || ttl.count() < 0) return {};
  const std::string payload = encode(JobResult{{result}});
  if (payload.size() > options_.answer_bytes_max) return {};
  const int64_t now_ms = clock_.wall_ms();
  std::string record =
      write_record(key, {now_ms, ttl.count() == 0 ? 0 : now_ms + ttl.count() * 1000, payload});
  if (entry_bytes(record.size()) > options_.bytes_max) return {};
  ++stats_.stores;
  return remember(key, AnswerChange::Kind::kStore, std::move(record));
}

// One pending change a key, at the place of its last use.
Result<void> StoredAnswerCache::remember(const Hash128& key, AnswerChange::Kind kind, std::string record) {
  Pending& pending = pending_[key];
  pending.use = ++n_uses_;
  has_changes_ |= kind != AnswerChange::Kind::kTouch;
  const bool stays_stored = pending.kind == AnswerChange::Kind::kStore && !pending.record.empty() &&
                            kind == AnswerChange::Kind::kTouch;
  if (!stays_stored) {
    pending_bytes_ += record.size();
    pending_bytes_ -= pending.record.size();
    pending.kind = kind;
    pending.record = std::move(record);
  }
  if (pending_.size() < kPendingChangesMax && pending_bytes_ < kPendingBytesMax) return {};
  return write_pending();
}

Result<void> StoredAnswerCache::flush() {
  if (!has_changes_ && pending_.size() < kUsesWorthACommit) return {};
  return write_pending();
}

Result<void> StoredAnswerCache::write_pending() {
  if (pending_.empty()) return {};
  std::vector<std::pair<uint64_t, AnswerChange>> by_use;
  by_use.reserve(pending_.size());
  for (auto& [key, pending] : pending_) {
    by_use.push_back({pending.use, {pending.kind, key, std::move(pending.record)}});
  }
  pending_.clear();
  pending_bytes_ = 0;
  has_changes_ = false;
  std::sort(by_use.begin(), by_use.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<AnswerChange> changes;
  changes.reserve(by_use.size());
  for (auto& [use, change] : by_use) changes.push_back(std::move(change));
  return store_.apply(changes, clock_.wall_ms());
}

Result<void> StoredAnswerCache::clear() {
  pending_.clear();
  pending_bytes_ = 0;
  has_changes_ = false;
  return store_.clear();
}

AnswerCacheStats StoredAnswerCache::stats() const {
  AnswerCacheStats stats = stats_;
  stats.evictions = store_.evictions();
  if (const auto totals = store_.totals()) {
    stats.entries = totals->entries;
    stats.bytes = totals->bytes;
  }
  return stats;
}

}  // namespace

Result<std::unique_ptr<AnswerCache>> AnswerCache::open(const AnswerCacheOptions& options,
                                                       const Clock& clock) {
  const uint64_t map_bytes = options.map_bytes > 0 ? options.map_bytes : default_map_bytes(options.bytes_max);
  TANDEM_ASSIGN(AnswerStore store, AnswerStore::open(options.folder, options.bytes_max, map_bytes));
  return std::make_unique<StoredAnswerCache>(std::move(store), options, clock);
}

}  // namespace tandem
