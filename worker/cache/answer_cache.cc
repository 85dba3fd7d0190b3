#include "worker/cache/answer_cache.h"

#include <utility>

#include "shared/base/limits.h"
#include "worker/cache/answer_codec.h"
#include "worker/cache/answer_record.h"
#include "worker/cache/answer_store.h"
#include "worker/cache/answer_writer.h"

namespace tandem {
namespace {

// What may wait for flush(): bounds for a caller that never calls it.
constexpr size_t kPendingChangesMax = 4'096;
constexpr size_t kPendingBytesMax = 1u << 20;

uint64_t default_map_bytes(uint64_t bytes_max) {
  constexpr uint64_t kSpare = 64u << 20;  // pages of snapshots, and those that a transaction rewrites
  return 2 * bytes_max + kSpare;
}

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
      : store_(std::move(store)), options_(options), clock_(clock), writer_(store_, clock) {}

  // Best effort: nobody is left to hear of an error.
  ~StoredAnswerCache() override { hand_over(); }

  Result<std::optional<TaskResult>> find(const Hash128& key) override;
  Result<void> store(const Hash128& key, const TaskResult& result, std::chrono::seconds ttl,
                     std::string_view cache_namespace) override;
  Result<void> flush() override;
  Result<void> settle() override;
  Result<void> clear() override;
  Result<void> for_each(const std::function<bool(const KeptAnswer&)>& visit) override;
  bool keep(const KeptAnswer& answer) override;
  void remove(const Hash128& key) override;
  AnswerCacheStats stats() const override;
  const std::string& note() const override { return store_.note(); }

 private:
  std::optional<TaskResult> read(const Hash128& key, std::string_view bytes);
  std::optional<TaskResult> read_unwritten(const AnswerChange& change);
  void remember(AnswerChange change);
  void hand_over();

  AnswerStore store_;
  AnswerCacheOptions options_;
  const Clock& clock_;
  AnswerWriter writer_;
  AnswerChanges pending_;
  size_t pending_bytes_ = 0;
  AnswerCacheStats stats_;
};

Result<std::optional<TaskResult>> StoredAnswerCache::find(const Hash128& key) {
  std::optional<TaskResult> hit;
  if (const auto waiting = pending_.find(key); waiting != pending_.end()) {
    waiting->second.stamp = store_.next_stamp();
    hit = read_unwritten(waiting->second);
  } else if (const AnswerChange* unwritten = writer_.find(key)) {
    hit = read_unwritten(*unwritten);
  } else {
    const auto found = store_.find(key);
    if (found && *found) hit = read(key, (*found)->record);
    if (hit) store_.use(**found);
    store_.rest();
    if (!found) {
      ++stats_.misses;
      return fail(found.error());
    }
  }
  ++(hit ? stats_.hits : stats_.misses);
  return hit;
}

std::optional<TaskResult> StoredAnswerCache::read_unwritten(const AnswerChange& change) {
  if (change.kind != AnswerChange::Kind::kStore) return std::nullopt;
  const std::string record = change.record;  // it may be removed by what comes of it
  return read(change.key, record);
}

std::optional<TaskResult> StoredAnswerCache::read(const Hash128& key, std::string_view bytes) {
  const std::optional<AnswerRecord> record = read_record(key, bytes);
  const bool is_expired = record && record->expired(clock_.wall_ms());
  if (record && !is_expired) {
    if (auto answer = decode_answer(record->payload)) return as_hit(std::move(*answer));
  }
  stats_.expired += is_expired;
  remember({AnswerChange::Kind::kRemoveIfBad, key, store_.next_stamp(), ""});
  return std::nullopt;
}

Result<void> StoredAnswerCache::store(const Hash128& key, const TaskResult& result, std::chrono::seconds ttl,
                                      std::string_view cache_namespace) {
  if (ttl.count() < 0) return {};
  const int64_t now_ms = clock_.wall_ms();
  const int64_t expires_ms = ttl.count() == 0 ? 0 : now_ms + ttl.count() * 1000;
  stats_.stores += keep({key, now_ms, expires_ms, std::string(cache_namespace), result, 0});
  return {};
}

bool StoredAnswerCache::keep(const KeptAnswer& answer) {
  if (!worth_caching(answer.result) || answer.cache_namespace.size() > limits::kNameBytesMax) return false;
  const std::string payload = encode_answer(answer.result);
  if (payload.size() > options_.answer_bytes_max) return false;
  const AnswerRecord record{answer.created_ms, answer.expires_ms, answer.cache_namespace, payload};
  if (record.expired(clock_.wall_ms())) return false;
  std::string bytes = write_record(answer.key, record);
  if (entry_bytes(bytes.size()) > options_.bytes_max) return false;
  remember({AnswerChange::Kind::kStore, answer.key, store_.next_stamp(), std::move(bytes)});
  return true;
}

void StoredAnswerCache::remove(const Hash128& key) {
  remember({AnswerChange::Kind::kRemove, key, store_.next_stamp(), ""});
}

Result<void> StoredAnswerCache::for_each(const std::function<bool(const KeptAnswer&)>& visit) {
  return store_.for_each([&](const Hash128& key, std::string_view bytes) {
    const auto record = read_record(key, bytes);
    if (!record || record->expired(clock_.wall_ms())) return true;
    auto answer = decode_answer(record->payload);
    if (!answer) return true;
    return visit({key, record->created_ms, record->expires_ms, std::string(record->name_space),
                  std::move(*answer), entry_bytes(bytes.size())});
  });
}

// One pending change a key, the last.
void StoredAnswerCache::remember(AnswerChange change) {
  AnswerChange& pending = pending_[change.key];
  pending_bytes_ += change.record.size();
  pending_bytes_ -= pending.record.size();
  pending = std::move(change);
  if (pending_.size() >= kPendingChangesMax || pending_bytes_ >= kPendingBytesMax) hand_over();
}

void StoredAnswerCache::hand_over() {
  if (!pending_.empty()) writer_.write(std::exchange(pending_, {}));
  pending_bytes_ = 0;
}

Result<void> StoredAnswerCache::flush() {
  hand_over();
  return writer_.take_error();
}

Result<void> StoredAnswerCache::settle() {
  hand_over();
  writer_.settle();
  return writer_.take_error();
}

Result<void> StoredAnswerCache::clear() {
  pending_.clear();
  pending_bytes_ = 0;
  writer_.settle();
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
