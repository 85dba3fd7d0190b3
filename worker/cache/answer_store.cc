#include "worker/cache/answer_store.h"

#include "shared/base/assert.h"
#include "worker/cache/answer_record.h"

namespace tandem {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kNodeBytes = 10;         // LMDB's header and pointer of an entry
constexpr uint64_t kInlineBytesMax = 2000;  // larger values get pages of their own
constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kTotalsKey = "totals";

std::optional<AnswerTotals> parse_totals(std::string_view bytes) {
  if (bytes.size() != 24) return std::nullopt;
  return AnswerTotals{*number_from_key(bytes.substr(0, 8)), *number_from_key(bytes.substr(8, 8)),
                      *number_from_key(bytes.substr(16, 8))};
}

std::optional<Hash128> parse_key(std::string_view bytes) {
  Hash128 key;
  if (bytes.size() != key.bytes.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(key.bytes.data()));
  return key;
}

}  // namespace

// Measured on stores that had been full for long (20,000 stores of all sizes into 4 MiB): pages of `answers`
// are 44 to 54 % full, since keys come and go at random; an entry takes up to 77 bytes of `used` and 40 to 55
// of `order`.
uint64_t entry_bytes(size_t record_bytes) {
  constexpr uint64_t kUsedAndOrder = 130;
  const uint64_t node = kNodeBytes + 16;
  if (record_bytes <= kInlineBytesMax) return (node + record_bytes) * 9 / 4 + kUsedAndOrder;
  const uint64_t n_pages = (record_bytes + 16 + kPageBytes - 1) / kPageBytes;
  return node * 9 / 4 + n_pages * kPageBytes + kUsedAndOrder;
}

AnswerStore::AnswerStore(Environment environment, Table answers, Table used, Table order, Table meta,
                         uint64_t bytes_max)
    : environment_(std::move(environment)),
      answers_(std::move(answers)),
      used_(std::move(used)),
      order_(std::move(order)),
      meta_(std::move(meta)),
      bytes_max_(bytes_max) {}

Result<AnswerStore> AnswerStore::open(const std::filesystem::path& folder, uint64_t bytes_max,
                                      uint64_t map_bytes) {
  EnvironmentOptions options;
  options.map_bytes = map_bytes;
  options.durable = false;
  options.exclusive = false;
  TANDEM_ASSIGN(Environment environment, Environment::open(folder, options));
  TANDEM_ASSIGN(Table answers, environment.table("answers"));
  TANDEM_ASSIGN(Table used, environment.table("used"));
  TANDEM_ASSIGN(Table order, environment.table("order"));
  TANDEM_ASSIGN(Table meta, environment.table("meta"));
  AnswerStore store(std::move(environment), std::move(answers), std::move(used), std::move(order),
                    std::move(meta), bytes_max);
  TANDEM_TRY(store.check_format());
  return store;
}

Result<void> AnswerStore::check_format() {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(const std::optional<std::string_view> format, meta_.get(transaction, kFormatKey));
  if (format && *format == kAnswerFormat) return {};
  TANDEM_ASSIGN(const uint64_t n_answers, answers_.count(transaction));
  if (format || n_answers > 0) {
    note_ = environment_.folder().string() + ": emptied, expected the format '" + std::string(kAnswerFormat) +
            "', found '" + std::string(format.value_or("none")) + "' with " + std::to_string(n_answers) +
            " answers";
  }
  AnswerTotals totals;
  TANDEM_TRY(clear_tables(transaction, totals));
  TANDEM_TRY(meta_.put(transaction, kFormatKey, kAnswerFormat));
  TANDEM_TRY(write_totals(transaction, totals));
  return transaction.commit();
}

Result<std::optional<std::string>> AnswerStore::get(const Hash128& key) const {
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  TANDEM_ASSIGN(const std::optional<std::string_view> found, answers_.get(transaction, view_of(key.bytes)));
  if (!found) return std::optional<std::string>();
  return std::optional(std::string(*found));
}

Result<AnswerTotals> AnswerStore::totals() const {
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  return read_totals(transaction);
}

Result<void> AnswerStore::clear() {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(AnswerTotals totals, read_totals(transaction));
  TANDEM_TRY(clear_tables(transaction, totals));
  TANDEM_TRY(write_totals(transaction, totals));
  return transaction.commit();
}

// ---- changes ---------------------------------------------------------------------------------------------

Result<void> AnswerStore::apply(const std::vector<AnswerChange>& changes, int64_t now_ms) {
  auto done = try_apply(changes, now_ms);
  if (done || done.error().code != ErrorCode::kFull) return done;

  // A spoiled transaction cannot go on, and pages it frees come back only with the next one: so first room in
  // a transaction of its own, then the changes again.
  if (make_room()) done = try_apply(changes, now_ms);
  if (done || done.error().code != ErrorCode::kFull) return done;
  if (clear()) done = try_apply(changes, now_ms);
  return done;
}

Result<void> AnswerStore::try_apply(const std::vector<AnswerChange>& changes, int64_t now_ms) {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(AnswerTotals totals, read_totals(transaction));
  const uint64_t evictions_before = evictions_;
  const auto run = [&]() -> Result<void> {
    for (const AnswerChange& change : changes) TANDEM_TRY(apply_one(transaction, change, now_ms, totals));
    TANDEM_TRY(write_totals(transaction, totals));
    return transaction.commit();
  };
  auto done = run();
  if (!done) evictions_ = evictions_before;  // it did not happen
  return done;
}

Result<void> AnswerStore::apply_one(WriteTransaction& in, const AnswerChange& change, int64_t now_ms,
                                    AnswerTotals& totals) {
  const std::string_view key = view_of(change.key.bytes);
  switch (change.kind) {
    case AnswerChange::Kind::kStore:
      TANDEM_TRY(remove(in, change.key, totals));
      TANDEM_TRY(answers_.put(in, key, change.record));
      totals.entries += 1;
      totals.bytes += entry_bytes(change.record.size());
      TANDEM_TRY(mark_used(in, change.key, totals));
      return evict_down_to(in, bytes_max_, totals);
    case AnswerChange::Kind::kTouch: {
      TANDEM_ASSIGN(const std::optional<std::string_view> found, used_.get(in, key));
      if (found) return mark_used(in, change.key, totals);
      return {};  // evicted since
    }
    case AnswerChange::Kind::kRemoveIfBad: {
      // Another process may have stored a good one since.
      TANDEM_ASSIGN(const std::optional<std::string_view> found, answers_.get(in, key));
      if (!found) return {};
      const std::optional<AnswerRecord> record = read_record(change.key, *found);
      if (record && !record->expired(now_ms)) return {};
      TANDEM_TRY(remove(in, change.key, totals));
      return {};
    }
  }
  return {};
}

// The key gets the newest stamp and loses its old one.
Result<void> AnswerStore::mark_used(WriteTransaction& in, const Hash128& key, AnswerTotals& totals) {
  TANDEM_ASSIGN(const std::optional<std::string_view> found, used_.get(in, view_of(key.bytes)));
  if (found) {
    const std::string old_stamp(*found);
    TANDEM_TRY(order_.erase(in, old_stamp));
  }
  const std::string stamp = number_key(totals.next_stamp++);
  TANDEM_TRY(used_.put(in, view_of(key.bytes), stamp));
  return order_.put_append(in, stamp, view_of(key.bytes));
}

Result<bool> AnswerStore::remove(WriteTransaction& in, const Hash128& key, AnswerTotals& totals) {
  TANDEM_ASSIGN(const std::optional<std::string_view> record, answers_.get(in, view_of(key.bytes)));
  if (!record) return false;
  const uint64_t n_bytes = entry_bytes(record->size());
  totals.entries -= std::min<uint64_t>(totals.entries, 1);
  totals.bytes -= std::min(totals.bytes, n_bytes);
  TANDEM_ASSIGN(const std::optional<std::string_view> found, used_.get(in, view_of(key.bytes)));
  const std::string stamp(found.value_or(""));
  if (!stamp.empty()) TANDEM_TRY(order_.erase(in, stamp));
  TANDEM_TRY(used_.erase(in, view_of(key.bytes)));
  TANDEM_TRY(answers_.erase(in, view_of(key.bytes)));
  return true;
}

Result<void> AnswerStore::evict_down_to(WriteTransaction& in, uint64_t bytes_max, AnswerTotals& totals) {
  while (totals.bytes > bytes_max) {
    std::string stamp;
    std::optional<Hash128> key;
    {
      TANDEM_ASSIGN(Cursor cursor, Cursor::open(in, order_));
      TANDEM_ASSIGN(const std::optional<Cursor::Entry> oldest, cursor.first());
      if (oldest) {
        stamp = oldest->key;
        key = parse_key(oldest->value);
      }
    }
    // Nothing to evict and still too many bytes: the counts are wrong. Transactions keep them right, so this
    // is damage, and an empty cache is its end.
    if (stamp.empty()) return clear_tables(in, totals);
    TANDEM_ASSIGN(const bool removed, key ? remove(in, *key, totals) : Result<bool>(false));
    if (!removed) TANDEM_TRY(order_.erase(in, stamp));
    evictions_ += removed;
  }
  return {};
}

// Half of everything goes: an eviction that frees a page here and there would have to be repeated at once.
Result<void> AnswerStore::make_room() {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(AnswerTotals totals, read_totals(transaction));
  TANDEM_TRY(evict_down_to(transaction, totals.bytes / 2, totals));
  TANDEM_TRY(write_totals(transaction, totals));
  return transaction.commit();
}

Result<void> AnswerStore::clear_tables(WriteTransaction& in, AnswerTotals& totals) {
  TANDEM_TRY(answers_.clear(in));
  TANDEM_TRY(used_.clear(in));
  TANDEM_TRY(order_.clear(in));
  totals.entries = 0;
  totals.bytes = 0;
  return {};
}

Result<AnswerTotals> AnswerStore::read_totals(const Transaction& in) const {
  TANDEM_ASSIGN(const std::optional<std::string_view> bytes, meta_.get(in, kTotalsKey));
  const auto totals = bytes ? parse_totals(*bytes) : std::nullopt;
  if (totals) return *totals;
  return fail(ErrorCode::kCorrupt, environment_.folder().string() + ": expected totals of 24 bytes, found " +
                                       (bytes ? std::to_string(bytes->size()) : std::string("none")));
}

Result<void> AnswerStore::write_totals(WriteTransaction& in, const AnswerTotals& totals) {
  return meta_.put(in, kTotalsKey,
                   number_key(totals.entries) + number_key(totals.bytes) + number_key(totals.next_stamp));
}

}  // namespace tandem
