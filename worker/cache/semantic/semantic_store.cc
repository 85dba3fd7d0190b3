#include "worker/cache/semantic/semantic_store.h"

#include <algorithm>

#include "shared/base/format.h"
#include "worker/cache/semantic/byte_fields.h"

namespace tandem::semantic {
namespace {

constexpr std::string_view kFormatKey = "format", kTotalsKey = "totals";
constexpr uint32_t kDimensionMax = 1u << 16;
constexpr uint64_t kPageBytes = 4096, kNodeBytes = 24, kInlineBytesMax = 2000;

std::string_view view(const Hash128& hash) {
  return view_of(hash.bytes);
}

Hash128 hash_from(std::string_view bytes) {
  Hash128 hash;
  std::copy_n(bytes.begin(), std::min(bytes.size(), hash.bytes.size()), hash.bytes.begin());
  return hash;
}

// Ids rise, so pages fill up; large values have pages of their own.
uint64_t entry_bytes(size_t record_bytes) {
  if (record_bytes <= kInlineBytesMax) return (record_bytes + kNodeBytes) * 9 / 8;
  return kNodeBytes + (record_bytes + 16 + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

std::string write_entry(const SemanticEntry& entry) {
  ByteWriter body;
  body.u64(entry.id).raw(view(entry.scope)).raw(view(entry.answer_key));
  body.u64(static_cast<uint64_t>(entry.expires_ms)).u32(static_cast<uint32_t>(entry.vector.size()));
  for (const float x : entry.vector) body.f32(x);
  body.raw(entry.text);
  return ByteWriter().u64(hash128(body.bytes()).low64()).raw(body.bytes()).bytes();
}

std::optional<SemanticEntry> read_entry(uint64_t id, std::string_view bytes) {
  ByteReader in(bytes);
  if (in.u64() != hash128(in.rest()).low64() || in.failed()) return std::nullopt;
  SemanticEntry entry;
  entry.id = in.u64();
  entry.scope = hash_from(in.raw(16));
  entry.answer_key = hash_from(in.raw(16));
  entry.expires_ms = static_cast<int64_t>(in.u64());
  const uint32_t dimension = in.u32();
  if (in.failed() || entry.id != id || dimension > kDimensionMax) return std::nullopt;
  entry.vector.resize(dimension);
  for (float& x : entry.vector) x = in.f32();
  if (in.failed()) return std::nullopt;
  entry.text = in.rest();
  return entry;
}

SemanticStore::SemanticStore(Environment environment, Table entries, Table evidence, Table meta,
                             uint64_t bytes_max)
    : environment_(std::move(environment)),
      entries_(std::move(entries)),
      evidence_(std::move(evidence)),
      meta_(std::move(meta)),
      bytes_max_(bytes_max) {}

Result<SemanticStore> SemanticStore::open(const std::filesystem::path& folder, uint64_t bytes_max) {
  EnvironmentOptions options;
  options.map_bytes = bytes_max * 2 + (64u << 20);
  options.durable = false;
  options.exclusive = false;
  TANDEM_ASSIGN(Environment environment, Environment::open(folder, options));
  TANDEM_ASSIGN(Table entries, environment.table("entries"));
  TANDEM_ASSIGN(Table evidence, environment.table("evidence"));
  TANDEM_ASSIGN(Table meta, environment.table("meta"));
  SemanticStore store(std::move(environment), std::move(entries), std::move(evidence), std::move(meta),
                      bytes_max);
  TANDEM_TRY(store.check_format());
  return store;
}

Result<void> SemanticStore::check_format() {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(const std::optional<std::string_view> format, meta_.get(transaction, kFormatKey));
  if (format && *format == kSemanticFormat) return {};
  if (format) {
    note_ = fmt::format("{}: emptied, expected the format '{}', found '{}'", environment_.folder().string(),
                        kSemanticFormat, *format);
  }
  TANDEM_TRY(entries_.clear(transaction));
  TANDEM_TRY(evidence_.clear(transaction));
  TANDEM_TRY(meta_.put(transaction, kFormatKey, kSemanticFormat));
  TANDEM_TRY(write_totals(transaction, {}));
  return transaction.commit();
}

Result<void> SemanticStore::add(std::vector<SemanticEntry>& entries) {
  auto done = try_add(entries);
  if (done || done.error().code != ErrorCode::kFull) return done;
  TANDEM_TRY(clear());
  return try_add(entries);
}

Result<void> SemanticStore::try_add(std::vector<SemanticEntry>& entries) {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(SemanticTotals totals, read_totals(transaction));
  uint64_t evicted = 0;
  for (SemanticEntry& entry : entries) {
    entry.id = totals.next_id++;
    const std::string bytes = write_entry(entry);
    TANDEM_TRY(entries_.put_append(transaction, number_key(entry.id), bytes));
    totals.entries += 1;
    totals.bytes += entry_bytes(bytes.size());
  }
  while (totals.bytes > bytes_max_ && totals.entries > 0) {
    std::optional<uint64_t> oldest;
    {
      TANDEM_ASSIGN(Cursor cursor, Cursor::open(transaction, entries_));
      TANDEM_ASSIGN(const std::optional<Cursor::Entry> first, cursor.first());
      if (first) oldest = number_from_key(first->key);
    }
    if (!oldest) break;
    TANDEM_ASSIGN(const bool erased, erase(transaction, *oldest, totals));
    evicted += erased;
  }
  TANDEM_TRY(write_totals(transaction, totals));
  TANDEM_TRY(transaction.commit());
  evictions_ += evicted;
  return {};
}

Result<bool> SemanticStore::erase(WriteTransaction& in, uint64_t id, SemanticTotals& totals) {
  const std::string key = number_key(id);
  TANDEM_ASSIGN(const std::optional<std::string_view> bytes, entries_.get(in, key));
  if (!bytes) return false;
  totals.entries -= std::min<uint64_t>(totals.entries, 1);
  totals.bytes -= std::min(totals.bytes, entry_bytes(bytes->size()));
  return entries_.erase(in, key);
}

Result<void> SemanticStore::remove(const std::vector<uint64_t>& ids) {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(SemanticTotals totals, read_totals(transaction));
  for (const uint64_t id : ids) TANDEM_TRY(erase(transaction, id, totals));
  TANDEM_TRY(write_totals(transaction, totals));
  return transaction.commit();
}

Result<bool> SemanticStore::has(uint64_t id) const {
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  TANDEM_ASSIGN(const std::optional<std::string_view> bytes, entries_.get(transaction, number_key(id)));
  return bytes.has_value();
}

Result<uint64_t> SemanticStore::oldest() const {
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  {
    TANDEM_ASSIGN(Cursor cursor, Cursor::open(transaction, entries_));
    TANDEM_ASSIGN(const std::optional<Cursor::Entry> first, cursor.first());
    const std::optional<uint64_t> id = first ? number_from_key(first->key) : std::nullopt;
    if (id) return *id;
  }
  TANDEM_ASSIGN(const SemanticTotals totals, read_totals(transaction));
  return totals.next_id;
}

Result<void> SemanticStore::for_each(uint64_t from, const std::function<void(SemanticEntry)>& visit) const {
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  return entries_.for_each(transaction, number_key(from), [&](std::string_view key, std::string_view bytes) {
    const std::optional<uint64_t> id = number_from_key(key);
    std::optional<SemanticEntry> entry = id ? read_entry(*id, bytes) : std::nullopt;
    if (entry) visit(std::move(*entry));
    return true;
  });
}

Result<std::optional<std::string>> SemanticStore::evidence(const Hash128& scope) const {
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  TANDEM_ASSIGN(const std::optional<std::string_view> bytes, evidence_.get(transaction, view(scope)));
  if (!bytes) return std::optional<std::string>();
  return std::optional(std::string(*bytes));
}

Result<void> SemanticStore::change_evidence(const Hash128& scope,
                                            const std::function<std::string(std::string_view)>& change) {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(const std::optional<std::string_view> bytes, evidence_.get(transaction, view(scope)));
  const std::string changed = change(bytes.value_or(""));
  TANDEM_TRY(evidence_.put(transaction, view(scope), changed));
  return transaction.commit();
}

Result<SemanticTotals> SemanticStore::totals() const {
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  return read_totals(transaction);
}

// Entries only: what was learned about tasks is true without them. Ids go on.
Result<void> SemanticStore::clear() {
  TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
  TANDEM_ASSIGN(SemanticTotals totals, read_totals(transaction));
  TANDEM_TRY(entries_.clear(transaction));
  totals.entries = totals.bytes = 0;
  TANDEM_TRY(write_totals(transaction, totals));
  return transaction.commit();
}

Result<SemanticTotals> SemanticStore::read_totals(const Transaction& in) const {
  TANDEM_ASSIGN(const std::optional<std::string_view> bytes, meta_.get(in, kTotalsKey));
  if (bytes && bytes->size() == 24) {
    return SemanticTotals{*number_from_key(bytes->substr(0, 8)), *number_from_key(bytes->substr(8, 8)),
                          *number_from_key(bytes->substr(16, 8))};
  }
  return fail(ErrorCode::kCorrupt, fmt::format("{}: expected totals of 24 bytes, found {}",
                                               environment_.folder().string(), bytes ? bytes->size() : 0));
}

Result<void> SemanticStore::write_totals(WriteTransaction& in, const SemanticTotals& totals) {
  return meta_.put(in, kTotalsKey,
                   number_key(totals.entries) + number_key(totals.bytes) + number_key(totals.next_id));
}

}  // namespace tandem::semantic
