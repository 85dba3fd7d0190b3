#include "worker/cache/kv_store.h"

#include <algorithm>

#include "shared/base/assert.h"

namespace tandem {

using engine::TokenId;
using engine::Tokens;

namespace {

constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kTotalsKey = "totals";
// Ends of texts that are looked at behind one block: a conversation's last turn has one, or a few when it was
// asked again.
constexpr size_t kEndsMax = 16;
constexpr uint64_t kSpareBytes = 64u << 20;  // pages of snapshots, and those that a transaction rewrites

// What a block takes in the file: pages of its own, for its content is never small, and its names in the
// three tables, whose pages are about half full (the same trees as those of answers, measured there).
uint64_t entry_bytes(size_t record_bytes) {
  constexpr uint64_t kPageBytes = 4096, kNames = 300;
  return (record_bytes + 16 + kPageBytes - 1) / kPageBytes * kPageBytes + kNames;
}

std::optional<KvTotals> parse_totals(std::string_view bytes) {
  if (bytes.size() != 24) return std::nullopt;
  return KvTotals{*number_from_key(bytes.substr(0, 8)), *number_from_key(bytes.substr(8, 8)),
                  *number_from_key(bytes.substr(16, 8))};
}

size_t n_alike(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

KvStore::KvStore(KvStoreOptions options, Environment environment, Table blocks, Table used, Table order,
                 Table meta)
    : options_(std::move(options)),
      environment_(std::move(environment)),
      blocks_(std::move(blocks)),
      used_(std::move(used)),
      order_(std::move(order)),
      meta_(std::move(meta)) {}

Result<KvStore> KvStore::open(const KvStoreOptions& options) {
  TANDEM_ASSERT(options.block_bytes > 0, "a block holds something");
  EnvironmentOptions environment_options;
  environment_options.map_bytes =
      options.map_bytes > 0 ? options.map_bytes : 2 * options.bytes_max + kSpareBytes;
  environment_options.durable = false;
  environment_options.exclusive = false;
  TANDEM_ASSIGN(Environment environment, Environment::open(options.folder, environment_options));
  TANDEM_ASSIGN(Table blocks, environment.table("blocks"));
  TANDEM_ASSIGN(Table used, environment.table("used"));
  TANDEM_ASSIGN(Table order, environment.table("order"));
  TANDEM_ASSIGN(Table meta, environment.table("meta"));
  KvStore store(options, std::move(environment), std::move(blocks), std::move(used), std::move(order),
                std::move(meta));
  TANDEM_TRY(store.check_format());
  return store;
}

Result<void> KvStore::check_format() {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(const std::optional<std::string_view> format, meta_.get(transaction, kFormatKey));
  TANDEM_ASSIGN(const std::optional<std::string_view> counted, meta_.get(transaction, kTotalsKey));
  if (format && *format == kKvFormat && counted && parse_totals(*counted)) return {};
  TANDEM_ASSIGN(const uint64_t n_blocks, blocks_.count(transaction));
  if (format || n_blocks > 0) {
    note_ = environment_.folder().string() + ": emptied, expected the format '" + std::string(kKvFormat) +
            "', found '" + std::string(format.value_or("none")) + "' with " + std::to_string(n_blocks) +
            " blocks";
  }
  KvTotals totals;
  TANDEM_TRY(clear_tables(transaction, totals));
  TANDEM_TRY(meta_.put(transaction, kFormatKey, kKvFormat));
  TANDEM_TRY(write_totals(transaction, totals));
  return transaction.commit();
}

// ---- finding ---------------------------------------------------------------------------------------------

Result<KvStore::Found> KvStore::find(std::span<const TokenId> text, size_t n_before, size_t n_known,
                                     std::span<std::byte> content) const {
  TANDEM_ASSERT(n_before % kKvBlockTokens == 0 && n_before < text.size() && n_known >= n_before,
                "blocks are found one behind the other");
  TANDEM_ASSERT(content.size() == options_.block_bytes, "room for a block");
  Found found;
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  const size_t n_full = n_before + kKvBlockTokens;
  if (n_full <= text.size()) {
    const std::string key = kv_key(options_.identity, text.first(n_full));
    TANDEM_ASSIGN(const std::optional<std::string_view> record, blocks_.get(transaction, key));
    if (record) {
      const std::optional<Tokens> of = kv_record_text(*record, options_.block_bytes);
      if (of && std::ranges::equal(*of, text.first(n_full)) &&
          copy_kv_record(options_.identity, *record, content)) {
        found.n_tokens = kKvBlockTokens;
        return found;
      }
      found.damaged.push_back(key);
    }
  }

  // The end of a text that goes on most like this one. Text ends are at hand behind the block before them.
  const std::string before = kv_key(options_.identity, text.first(n_before));
  std::string best_key;
  std::string_view best_record;
  size_t n_best = n_known;
  TANDEM_ASSIGN(Cursor cursor, Cursor::open(transaction, blocks_));
  Cursor::Found one = cursor.seek(before);
  if (n_full > text.size()) {  // the very end of this one, however many there are
    const std::string key = kv_key(options_.identity, text);
    TANDEM_ASSIGN(const std::optional<std::string_view> record, blocks_.get(transaction, key));
    if (record) one = cursor.seek(key);
  }
  for (size_t i = 0; i <= kEndsMax; ++i, one = cursor.next()) {
    if (!one) return fail(one.error());
    if (!*one || !(*one)->key.starts_with(before)) break;
    if ((*one)->key.size() == before.size()) continue;  // the block itself
    const std::optional<Tokens> of = kv_record_text((*one)->value, options_.block_bytes);
    if (!of || kv_key(options_.identity, *of) != (*one)->key) {
      found.damaged.emplace_back((*one)->key);
      continue;
    }
    const size_t n = n_alike(*of, text);
    if (n <= n_best) continue;
    n_best = n;
    best_key = (*one)->key;
    best_record = (*one)->value;
  }
  if (best_key.empty()) return found;
  if (copy_kv_record(options_.identity, best_record, content)) {
    found.n_tokens = n_best - n_before;
  } else {
    found.damaged.push_back(best_key);
  }
  return found;
}

Result<KvTotals> KvStore::totals() const {
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  return read_totals(transaction);
}

// ---- changes ---------------------------------------------------------------------------------------------

Result<void> KvStore::clear() {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(KvTotals totals, read_totals(transaction));
  TANDEM_TRY(clear_tables(transaction, totals));
  TANDEM_TRY(write_totals(transaction, totals));
  return transaction.commit();
}

// As AnswerStore does: first room in a transaction of its own, then the changes again.
Result<void> KvStore::apply(const std::vector<KvChange>& changes) {
  auto done = try_apply(changes);
  if (done || done.error().code != ErrorCode::kFull) return done;
  if (make_room()) done = try_apply(changes);
  if (done || done.error().code != ErrorCode::kFull) return done;
  if (clear()) done = try_apply(changes);
  return done;
}

Result<void> KvStore::try_apply(const std::vector<KvChange>& changes) {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(KvTotals totals, read_totals(transaction));
  const KvStoreCounts before = counts_;
  const auto run = [&]() -> Result<void> {
    for (const KvChange& change : changes) TANDEM_TRY(apply_one(transaction, change, totals));
    TANDEM_TRY(write_totals(transaction, totals));
    return transaction.commit();
  };
  auto done = run();
  if (!done) counts_ = before;  // it did not happen
  return done;
}

Result<void> KvStore::apply_one(WriteTransaction& in, const KvChange& change, KvTotals& totals) {
  TANDEM_ASSIGN(const std::optional<std::string_view> there, blocks_.get(in, change.key));
  switch (change.kind) {
    case KvChange::Kind::kStore: {
      if (there && there->size() == change.record.size()) return mark_used(in, change.key, totals);
      const uint64_t n_bytes = entry_bytes(change.record.size());
      if (n_bytes > options_.bytes_max) return {};
      TANDEM_TRY(remove(in, change.key, totals));
      TANDEM_TRY(evict_down_to(in, options_.bytes_max - n_bytes, totals));
      TANDEM_TRY(blocks_.put(in, change.key, change.record));
      totals.blocks += 1;
      totals.bytes += n_bytes;
      ++counts_.stored;
      return mark_used(in, change.key, totals);
    }
    case KvChange::Kind::kUse:
      if (there) return mark_used(in, change.key, totals);
      return {};  // evicted since
    case KvChange::Kind::kRemoveIfBad: {
      // Another process may have stored a good one since.
      if (!there) return {};
      const std::optional<Tokens> text = kv_record_text(*there, options_.block_bytes);
      std::vector<std::byte> content(options_.block_bytes);
      if (text && kv_key(options_.identity, *text) == change.key &&
          copy_kv_record(options_.identity, *there, content)) {
        return {};
      }
      TANDEM_TRY(remove(in, change.key, totals));
      ++counts_.removed;
      return {};
    }
  }
  return {};
}

Result<void> KvStore::mark_used(WriteTransaction& in, std::string_view key, KvTotals& totals) {
  TANDEM_ASSIGN(const std::optional<std::string_view> found, used_.get(in, key));
  if (found) {
    const std::string old_stamp(*found);
    TANDEM_TRY(order_.erase(in, old_stamp));
  }
  const std::string stamp = number_key(totals.next_stamp++);
  TANDEM_TRY(used_.put(in, key, stamp));
  return order_.put_append(in, stamp, key);
}

Result<bool> KvStore::remove(WriteTransaction& in, const std::string& key, KvTotals& totals) {
  TANDEM_ASSIGN(const std::optional<std::string_view> record, blocks_.get(in, key));
  if (!record) return false;
  const uint64_t n_bytes = entry_bytes(record->size());
  totals.blocks -= std::min<uint64_t>(totals.blocks, 1);
  totals.bytes -= std::min(totals.bytes, n_bytes);
  TANDEM_ASSIGN(const std::optional<std::string_view> found, used_.get(in, key));
  const std::string stamp(found.value_or(""));
  if (!stamp.empty()) TANDEM_TRY(order_.erase(in, stamp));
  TANDEM_TRY(used_.erase(in, key));
  TANDEM_TRY(blocks_.erase(in, key));
  return true;
}

Result<void> KvStore::evict_down_to(WriteTransaction& in, uint64_t bytes_max, KvTotals& totals) {
  while (totals.bytes > bytes_max) {
    std::string stamp, key;
    {
      TANDEM_ASSIGN(Cursor cursor, Cursor::open(in, order_));
      TANDEM_ASSIGN(const std::optional<Cursor::Entry> oldest, cursor.first());
      if (oldest) {
        stamp = oldest->key;
        key = oldest->value;
      }
    }
    // Nothing to evict and still too many bytes: the counts are damaged, and an empty cache is their end.
    if (stamp.empty()) return clear_tables(in, totals);
    TANDEM_ASSIGN(const bool removed, key.empty() ? Result<bool>(false) : remove(in, key, totals));
    if (!removed) TANDEM_TRY(order_.erase(in, stamp));
    counts_.evicted += removed;
  }
  return {};
}

Result<void> KvStore::make_room() {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(KvTotals totals, read_totals(transaction));
  TANDEM_TRY(evict_down_to(transaction, totals.bytes / 2, totals));
  TANDEM_TRY(write_totals(transaction, totals));
  return transaction.commit();
}

Result<void> KvStore::clear_tables(WriteTransaction& in, KvTotals& totals) {
  TANDEM_TRY(blocks_.clear(in));
  TANDEM_TRY(used_.clear(in));
  TANDEM_TRY(order_.clear(in));
  totals.blocks = 0;
  totals.bytes = 0;
  return {};
}

Result<KvTotals> KvStore::read_totals(const Transaction& in) const {
  TANDEM_ASSIGN(const std::optional<std::string_view> bytes, meta_.get(in, kTotalsKey));
  const auto totals = bytes ? parse_totals(*bytes) : std::nullopt;
  if (totals) return *totals;
  return fail(ErrorCode::kCorrupt, environment_.folder().string() + ": expected totals of 24 bytes, found " +
                                       (bytes ? std::to_string(bytes->size()) : std::string("none")));
}

Result<void> KvStore::write_totals(WriteTransaction& in, const KvTotals& totals) {
  return meta_.put(in, kTotalsKey,
                   number_key(totals.blocks) + number_key(totals.bytes) + number_key(totals.next_stamp));
}

}  // namespace tandem
