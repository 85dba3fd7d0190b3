#include "worker/cache/answer_store.h"

#include <algorithm>
#include <utility>

#include "worker/cache/answer_record.h"

namespace tandem {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kNodeBytes = 10;         // LMDB's header and pointer of an entry
constexpr uint64_t kInlineBytesMax = 2000;  // larger values get pages of their own
constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kTotalsKey = "totals";
constexpr size_t kPlaceBytes = 4;
constexpr uint64_t kFree = 1ull << 63;
// A transaction holds up the others of the host, and rewrites pages that must be free: it has no more than so
// many entries stored, moved and evicted.
constexpr int kWorkMax = 4'096;

std::optional<AnswerTotals> parse_totals(std::string_view bytes) {
  if (bytes.size() != 40) return std::nullopt;
  const auto number = [&](size_t i) { return *number_from_key(bytes.substr(8 * i, 8)); };
  return AnswerTotals{number(0), number(1), number(2), number(3), number(4)};
}

std::string place_key(uint32_t place) {
  return number_key(place).substr(8 - kPlaceBytes);
}

uint32_t parse_place(std::string_view bytes) {
  return static_cast<uint32_t>(*number_from_key(std::string(8 - kPlaceBytes, '\0').append(bytes)));
}

std::optional<Hash128> parse_key(std::string_view bytes) {
  Hash128 key;
  if (bytes.size() != key.bytes.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(key.bytes.data()));
  return key;
}

struct Standing {
  Hash128 key;
  uint32_t place = 0;
};

std::optional<Standing> parse_standing(std::string_view bytes) {
  Standing standing;
  if (bytes.size() != standing.key.bytes.size() + kPlaceBytes) return std::nullopt;
  std::copy(bytes.begin(), bytes.end() - kPlaceBytes, reinterpret_cast<char*>(standing.key.bytes.data()));
  standing.place = parse_place(bytes.substr(bytes.size() - kPlaceBytes));
  return standing;
}

}  // namespace

// Measured on stores that had been full for long (20,000 stores of all sizes into 4 MiB): pages of `answers`
// are 44 to 54 % full, since keys come and go at random; an entry takes 40 to 55 bytes of `order`, up to 30
// of `places`, and 8 of the stamps.
uint64_t entry_bytes(size_t record_bytes) {
  constexpr uint64_t kOrderPlaceAndStamp = 100;
  const uint64_t node = kNodeBytes + 16;
  const uint64_t n_bytes = kPlaceBytes + record_bytes;
  if (n_bytes <= kInlineBytesMax) return (node + n_bytes) * 9 / 4 + kOrderPlaceAndStamp;
  const uint64_t n_pages = (n_bytes + 16 + kPageBytes - 1) / kPageBytes;
  return node * 9 / 4 + n_pages * kPageBytes + kOrderPlaceAndStamp;
}

AnswerStore::AnswerStore(Environment environment, Tables tables, uint64_t bytes_max, UseStamps stamps,
                         std::string note)
    : environment_(std::move(environment)),
      tables_(std::move(tables)),
      bytes_max_(bytes_max),
      stamps_(std::move(stamps)),
      evictions_(std::make_unique<std::atomic<uint64_t>>(0)),
      note_(std::move(note)) {}

Result<AnswerStore> AnswerStore::open(const std::filesystem::path& folder, uint64_t bytes_max,
                                      uint64_t map_bytes) {
  EnvironmentOptions options;
  options.map_bytes = map_bytes;
  options.durable = false;
  options.exclusive = false;
  TANDEM_ASSIGN(Environment environment, Environment::open(folder, options));
  TANDEM_ASSIGN(Table answers, environment.table("answers"));
  TANDEM_ASSIGN(Table order, environment.table("order"));
  TANDEM_ASSIGN(Table places, environment.table("places"));
  TANDEM_ASSIGN(Table meta, environment.table("meta"));
  Tables tables{std::move(answers), std::move(order), std::move(places), std::move(meta)};
  TANDEM_ASSIGN(std::string note, tables.check_format(environment));

  TANDEM_ASSIGN(const WriteTransaction alone, environment.write());
  TANDEM_ASSIGN(UseStamps stamps, UseStamps::open(folder / "uses"));
  TANDEM_ASSIGN(const AnswerTotals totals, tables.read_totals(alone, folder));
  stamps.raise(totals.next_stamp);
  return AnswerStore(std::move(environment), std::move(tables), bytes_max, std::move(stamps),
                     std::move(note));
}

Result<std::string> AnswerStore::Tables::check_format(Environment& environment) {
  std::string note;
  {
    TANDEM_ASSIGN(WriteTransaction in, environment.write());
    TANDEM_ASSIGN(const std::optional<std::string_view> format, meta.get(in, kFormatKey));
    if (format && *format == kAnswerFormat) return note;
    TANDEM_ASSIGN(const uint64_t n_answers, answers.count(in));
    if (format || n_answers > 0) {
      note = environment.folder().string() + ": emptied, expected the format '" + std::string(kAnswerFormat) +
             "', found '" + std::string(format.value_or("none")) + "' with " + std::to_string(n_answers) +
             " answers";
    }
    AnswerTotals totals;
    TANDEM_TRY(clear(in, totals));
    TANDEM_TRY(meta.put(in, kFormatKey, kAnswerFormat));
    TANDEM_TRY(write_totals(in, totals));
    TANDEM_TRY(in.commit());
  }
  if (note.empty()) return note;
  // Of the first format.
  TANDEM_ASSIGN(Table used, environment.table("used"));
  TANDEM_ASSIGN(WriteTransaction in, environment.write());
  TANDEM_TRY(used.clear(in));
  TANDEM_TRY(in.commit());
  return note;
}

// ---- reading ---------------------------------------------------------------------------------------------

Result<std::optional<AnswerStore::Found>> AnswerStore::find(const Hash128& key) {
  if (!reading_) {
    TANDEM_ASSIGN(reading_, environment_.read());
  } else if (is_resting_) {
    if (auto renewed = reading_->renew(); !renewed) {
      reading_.reset();
      return fail(std::move(renewed).error());
    }
  }
  is_resting_ = false;
  TANDEM_ASSIGN(const std::optional<std::string_view> value,
                tables_.answers.get(*reading_, view_of(key.bytes)));
  if (!value || value->size() < kPlaceBytes) return std::optional<Found>();
  return std::optional(Found{value->substr(kPlaceBytes), parse_place(value->substr(0, kPlaceBytes))});
}

void AnswerStore::rest() {
  if (!reading_ || is_resting_) return;
  reading_->rest();
  is_resting_ = true;
}

Result<void> AnswerStore::for_each(const std::function<bool(const Hash128&, std::string_view)>& visit) const {
  constexpr int kAtOnce = 1'000;  // a snapshot keeps its pages
  std::string next;
  for (bool is_wanted = true; is_wanted;) {
    TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
    int n_left = kAtOnce;
    const std::string from = std::exchange(next, "");
    TANDEM_TRY(tables_.answers.for_each(transaction, from, [&](std::string_view key, std::string_view value) {
      if (n_left-- == 0) next = key;
      if (!next.empty()) return false;
      const auto hash = parse_key(key);
      if (hash && value.size() >= kPlaceBytes) is_wanted = visit(*hash, value.substr(kPlaceBytes));
      return is_wanted;
    }));
    is_wanted &= !next.empty();
  }
  return {};
}

Result<AnswerTotals> AnswerStore::totals() const {
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  return tables_.read_totals(transaction, environment_.folder());
}

// ---- changes ---------------------------------------------------------------------------------------------

Result<AnswerStore::Work> AnswerStore::begin(int64_t now_ms) {
  TANDEM_ASSIGN(WriteTransaction in, environment_.write());
  TANDEM_ASSIGN(const AnswerTotals totals, tables_.read_totals(in, environment_.folder()));
  return Work{std::move(in), totals, now_ms, 0, kWorkMax};
}

Result<void> AnswerStore::finish(Work& work) {
  work.totals.next_stamp = std::max(work.totals.next_stamp, stamps_.given() + 1);
  TANDEM_TRY(tables_.write_totals(work.in, work.totals));
  TANDEM_TRY(work.in.commit());
  *evictions_ += work.n_evicted;
  return {};
}

Result<void> AnswerStore::apply(std::span<const AnswerChange* const> changes, int64_t now_ms) {
  int n_failed = 0;
  for (bool is_over = false; !changes.empty() || is_over;) {
    const auto done = try_apply(changes, now_ms);
    if (done) {
      changes = changes.subspan(done->n_changes);
      is_over = done->is_over;
      continue;
    }
    if (done.error().code != ErrorCode::kFull || ++n_failed > 2) return fail(done.error());
    // A spoiled transaction cannot go on, and pages it frees come back only with the next one: so first room
    // in a transaction of its own, then the changes again.
    if (n_failed == 2 || !make_room()) TANDEM_TRY(clear());
  }
  return {};
}

Result<AnswerStore::Applied> AnswerStore::try_apply(std::span<const AnswerChange* const> changes,
                                                    int64_t now_ms) {
  TANDEM_ASSIGN(Work work, begin(now_ms));
  TANDEM_TRY(evict_down_to(work, bytes_max_));
  size_t n_changes = 0;
  while (n_changes < changes.size() && work.n_left > 0) {
    --work.n_left;
    TANDEM_TRY(apply_one(work, *changes[n_changes++]));
  }
  const bool is_over = work.totals.bytes > bytes_max_;
  TANDEM_TRY(finish(work));
  return Applied{n_changes, is_over};
}

Result<void> AnswerStore::apply_one(Work& work, const AnswerChange& change) {
  if (change.kind == AnswerChange::Kind::kStore) {
    TANDEM_TRY(store(work, change));
    return evict_down_to(work, bytes_max_);
  }
  if (change.kind == AnswerChange::Kind::kRemove) return remove(work, change.key);
  // Another process may have stored a good one since.
  TANDEM_ASSIGN(const std::optional<std::string_view> found,
                tables_.answers.get(work.in, view_of(change.key.bytes)));
  if (!found) return {};
  if (found->size() >= kPlaceBytes) {
    const auto record = read_record(change.key, found->substr(kPlaceBytes));
    if (record && !record->expired(work.now_ms)) return {};
  }
  return remove(work, change.key);
}

Result<void> AnswerStore::store(Work& work, const AnswerChange& change) {
  TANDEM_TRY(remove(work, change.key));
  TANDEM_ASSIGN(const uint32_t place, take_place(work));
  TANDEM_TRY(tables_.answers.put(work.in, view_of(change.key.bytes), place_key(place) + change.record));
  work.totals.entries += 1;
  work.totals.bytes += entry_bytes(change.record.size());
  stamps_.set(place, change.stamp);
  return stand(work, change.key, place, change.stamp);
}

Result<void> AnswerStore::stand(Work& work, const Hash128& key, uint32_t place, uint64_t stamp) {
  const std::string standing = std::string(view_of(key.bytes)) + place_key(place);
  for (;; stamp = stamps_.next()) {
    TANDEM_ASSIGN(const bool is_alone, tables_.order.put_new(work.in, number_key(stamp), standing));
    if (is_alone) break;  // it is always, unless the file of stamps was lost while others used it
  }
  return tables_.places.put(work.in, place_key(place), number_key(stamp));
}

Result<uint32_t> AnswerStore::take_place(Work& work) {
  if (work.totals.first_free > 0) {
    const auto place = static_cast<uint32_t>(work.totals.first_free - 1);
    TANDEM_ASSIGN(const std::optional<std::string_view> link, tables_.places.get(work.in, place_key(place)));
    const auto next = link ? number_from_key(*link) : std::nullopt;
    work.totals.first_free = next && (*next & kFree) != 0 ? *next & ~kFree : 0;
    return place;
  }
  const auto place = static_cast<uint32_t>(work.totals.n_places++);
  TANDEM_TRY(stamps_.grow(place + 1));
  return place;
}

// Nothing if it is not there.
Result<void> AnswerStore::remove(Work& work, const Hash128& key) {
  const std::string_view name = view_of(key.bytes);
  TANDEM_ASSIGN(const std::optional<std::string_view> value, tables_.answers.get(work.in, name));
  if (!value) return {};
  const bool has_place = value->size() >= kPlaceBytes;
  const uint32_t place = has_place ? parse_place(value->substr(0, kPlaceBytes)) : 0;
  const uint64_t n_bytes = entry_bytes(value->size() - std::min(value->size(), kPlaceBytes));
  work.totals.entries -= std::min<uint64_t>(work.totals.entries, 1);
  work.totals.bytes -= std::min(work.totals.bytes, n_bytes);
  TANDEM_ASSIGN(const bool erased, tables_.answers.erase(work.in, name));
  if (!erased || !has_place) return {};

  TANDEM_ASSIGN(const std::optional<std::string_view> found, tables_.places.get(work.in, place_key(place)));
  if (!found) return {};
  const std::string stamp(*found);
  TANDEM_ASSIGN(const std::optional<std::string_view> standing, tables_.order.get(work.in, stamp));
  const auto there = standing ? parse_standing(*standing) : std::nullopt;
  // A damaged number must not take somebody else's place.
  if (!there || there->key != key || there->place != place) return {};
  TANDEM_TRY(tables_.order.erase(work.in, stamp));
  TANDEM_TRY(tables_.places.put(work.in, place_key(place), number_key(kFree | work.totals.first_free)));
  work.totals.first_free = uint64_t{place} + 1;
  return {};
}

Result<void> AnswerStore::evict_down_to(Work& work, uint64_t bytes_max) {
  while (work.totals.bytes > bytes_max && work.n_left > 0) {
    --work.n_left;
    std::string first;
    std::optional<Standing> standing;
    {
      TANDEM_ASSIGN(Cursor cursor, Cursor::open(work.in, tables_.order));
      TANDEM_ASSIGN(const std::optional<Cursor::Entry> entry, cursor.first());
      // Nothing to evict and still too many bytes: the counts are wrong. Transactions keep them right, so
      // this is damage, and an empty cache is its end.
      if (!entry) return tables_.clear(work.in, work.totals);
      first = entry->key;
      standing = parse_standing(entry->value);
    }
    const auto stamp = number_from_key(first);
    const uint64_t used = standing ? stamps_.last(standing->place) : 0;
    if (stamp && used > *stamp) {
      TANDEM_TRY(tables_.order.erase(work.in, first));
      TANDEM_TRY(stand(work, standing->key, standing->place, used));
      continue;
    }
    const uint64_t n_before = work.totals.entries;
    if (standing) TANDEM_TRY(remove(work, standing->key));
    if (work.totals.entries == n_before) TANDEM_TRY(tables_.order.erase(work.in, first));
    work.n_evicted += n_before - work.totals.entries;
  }
  return {};
}

// Half of everything goes: an eviction that frees a page here and there would have to be repeated at once. An
// eviction needs pages itself, for copies of those that it changes: where they are few, a few go at a time.
Result<void> AnswerStore::make_room() {
  TANDEM_ASSIGN(const AnswerTotals before, totals());
  for (int n_at_once = kWorkMax;;) {
    const auto left = evict_some(before.bytes / 2, n_at_once);
    if (left && *left <= before.bytes / 2) return {};
    if (left) continue;
    if (left.error().code != ErrorCode::kFull || n_at_once == 1) return fail(left.error());
    n_at_once = n_at_once / 8 + (n_at_once < 8);
  }
}

Result<uint64_t> AnswerStore::evict_some(uint64_t bytes_max, int n_max) {
  TANDEM_ASSIGN(Work work, begin(0));
  work.n_left = n_max;
  TANDEM_TRY(evict_down_to(work, bytes_max));
  const uint64_t n_bytes = work.totals.bytes;
  TANDEM_TRY(finish(work));
  return n_bytes;
}

Result<void> AnswerStore::clear() {
  TANDEM_ASSIGN(Work work, begin(0));
  TANDEM_TRY(tables_.clear(work.in, work.totals));
  return finish(work);
}

Result<void> AnswerStore::Tables::clear(WriteTransaction& in, AnswerTotals& totals) {
  TANDEM_TRY(answers.clear(in));
  TANDEM_TRY(order.clear(in));
  TANDEM_TRY(places.clear(in));
  totals = AnswerTotals{.next_stamp = totals.next_stamp};
  return {};
}

Result<AnswerTotals> AnswerStore::Tables::read_totals(const Transaction& in,
                                                      const std::filesystem::path& folder) const {
  TANDEM_ASSIGN(const std::optional<std::string_view> bytes, meta.get(in, kTotalsKey));
  const auto totals = bytes ? parse_totals(*bytes) : std::nullopt;
  if (totals) return *totals;
  return fail(ErrorCode::kCorrupt, folder.string() + ": expected totals of 40 bytes, found " +
                                       (bytes ? std::to_string(bytes->size()) : std::string("none")));
}

Result<void> AnswerStore::Tables::write_totals(WriteTransaction& in, const AnswerTotals& totals) {
  std::string bytes;
  for (const uint64_t number :
       {totals.entries, totals.bytes, totals.next_stamp, totals.n_places, totals.first_free}) {
    bytes += number_key(number);
  }
  return meta.put(in, kTotalsKey, bytes);
}

}  // namespace tandem
