// The tables of the answer cache and their transactions: what is there, what was used when, what has to go.
//
//   table     key                      value
//   answers   answer key, 16 bytes     its place, 4 bytes; record (answer_record.h)
//   order     stamp                    answer key; its place: the least recently used comes first
//   places    place                    the stamp under which its entry stands in `order`; or, of a free
//   place,
//                                      the number of the next free one and kFree
//   meta      "format"                 kAnswerFormat
//   meta      "totals"                 entries, bytes, next stamp, places, first free place: 5 x 8 bytes
//
// Numbers are big-endian. A stamp is a counter that all processes share, not a time: clocks jump. A use is
// noted in the file "uses" (use_stamps.h), not here. So an entry stands in `order` where it stood when that
// was last looked at, and never behind the place that it deserves: when the first is to go and was used
// since, it is moved to where it belongs, and the next is looked at. What goes is the least recently used.

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/result.h"
#include "shared/store/environment.h"
#include "worker/cache/use_stamps.h"

namespace tandem {

struct AnswerChange {
  enum class Kind : uint8_t { kStore, kRemoveIfBad, kRemove };
  Kind kind = Kind::kStore;
  Hash128 key;
  uint64_t stamp = 0;  // when it was last used, by AnswerStore::next_stamp()
  std::string record;  // of kStore
};

struct AnswerTotals {
  uint64_t entries = 0;
  uint64_t bytes = 0;  // entry_bytes() of all
  uint64_t next_stamp = 1;
  uint64_t n_places = 0;
  uint64_t first_free = 0;  // the place after it; 0: none is free
};

// What an entry with a record of this size takes in the file: its place in three tables, whole pages where it
// is large, and the room that a tree with random keys leaves in its pages.
uint64_t entry_bytes(size_t record_bytes);

// find() and rest() on one thread, the rest on another or the same.
class AnswerStore {
 public:
  // Empties a store of another format and says so in note(). Errors of Environment::open, UseStamps::open.
  static Result<AnswerStore> open(const std::filesystem::path& folder, uint64_t bytes_max,
                                  uint64_t map_bytes);

  struct Found {
    std::string_view record;  // in the map, until rest()
    uint32_t place = 0;
  };
  // Nothing when the key is not there.
  Result<std::optional<Found>> find(const Hash128& key);
  void rest();
  // The entry is used now.
  void use(const Found& found) { stamps_.use(found.place); }
  uint64_t next_stamp() { return stamps_.next(); }

  // Calls visit(key, record) for each until it says false, in the order of keys, a part at a time: others
  // store and evict meanwhile.
  Result<void> for_each(const std::function<bool(const Hash128&, std::string_view)>& visit) const;

  // The changes in their order, the least recently used evicted after each that is one too many; in one
  // transaction, or in several if there are many. A full map makes room first, in the end by forgetting
  // everything. After an error the changes from some place on are not written.
  Result<void> apply(std::span<const AnswerChange* const> changes, int64_t now_ms);
  Result<void> clear();
  Result<AnswerTotals> totals() const;

  const std::string& note() const { return note_; }
  uint64_t evictions() const { return evictions_->load(std::memory_order_relaxed); }

 private:
  struct Tables {
    Table answers, order, places, meta;

    // What was emptied, for the log; usually "".
    Result<std::string> check_format(Environment& environment);
    Result<void> clear(WriteTransaction& in, AnswerTotals& totals);
    Result<AnswerTotals> read_totals(const Transaction& in, const std::filesystem::path& folder) const;
    Result<void> write_totals(WriteTransaction& in, const AnswerTotals& totals);
  };
  // A transaction of changes, and how much it may still do.
  struct Work {
    WriteTransaction in;
    AnswerTotals totals;
    int64_t now_ms = 0;
    uint64_t n_evicted = 0;
    int n_left = 0;
  };
  struct Applied {
    size_t n_changes = 0;
    bool is_over = false;  // there is more to evict
  };

  AnswerStore(Environment environment, Tables tables, uint64_t bytes_max, UseStamps stamps, std::string note);
  Result<Work> begin(int64_t now_ms);
  Result<void> finish(Work& work);
  Result<Applied> try_apply(std::span<const AnswerChange* const> changes, int64_t now_ms);
  Result<void> apply_one(Work& work, const AnswerChange& change);
  Result<void> store(Work& work, const AnswerChange& change);
  // Puts the entry where it belongs in the order.
  Result<void> stand(Work& work, const Hash128& key, uint32_t place, uint64_t stamp);
  Result<uint32_t> take_place(Work& work);
  Result<void> remove(Work& work, const Hash128& key);
  // Until there are no more bytes than these, or the work is as much as a transaction should have.
  Result<void> evict_down_to(Work& work, uint64_t bytes_max);
  Result<void> make_room();
  // The bytes that are left.
  Result<uint64_t> evict_some(uint64_t bytes_max, int n_max);

  Environment environment_;
  Tables tables_;
  uint64_t bytes_max_;
  UseStamps stamps_;
  std::optional<ReadTransaction> reading_;
  bool is_resting_ = false;
  std::unique_ptr<std::atomic<uint64_t>> evictions_;
  std::string note_;
};

}  // namespace tandem
