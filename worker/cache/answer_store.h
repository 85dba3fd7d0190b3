// The tables of the answer cache and their transactions: what is there, what was used when, what has to go.
//
//   table     key                      value
//   answers   answer key, 16 bytes     record (answer_record.h)
//   used      answer key, 16 bytes     stamp of the last use, 8 bytes big-endian
//   order     stamp, 8 bytes big-end.  answer key, 16 bytes: the least recently used comes first
//   meta      "format"                 kAnswerFormat
//   meta      "totals"                 entries, bytes, next stamp: 3 x 8 bytes big-endian
//
// A stamp is a counter that all processes share, not a time: clocks jump.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/result.h"
#include "shared/store/environment.h"

namespace tandem {

// One change, in the order of use.
struct AnswerChange {
  enum class Kind : uint8_t { kStore, kTouch, kRemoveIfBad };
  Kind kind = Kind::kTouch;
  Hash128 key;
  std::string record;  // of kStore
};

struct AnswerTotals {
  uint64_t entries = 0;
  uint64_t bytes = 0;  // entry_bytes() of all
  uint64_t next_stamp = 1;
};

// What an entry with a record of this size takes in the file: its place in three tables, whole pages where it
// is large, and the room that a tree with random keys leaves in its pages.
uint64_t entry_bytes(size_t record_bytes);

class AnswerStore {
 public:
  // Empties a store of another format and says so in note(). Errors of Environment::open.
  static Result<AnswerStore> open(const std::filesystem::path& folder, uint64_t bytes_max,
                                  uint64_t map_bytes);

  // The record's bytes, copied; nothing when the key is not there.
  Result<std::optional<std::string>> get(const Hash128& key) const;
  // All changes in one transaction, the least recently used evicted after each that is one too many. A full
  // map makes room first, in the end by forgetting everything; an error means that nothing was written.
  Result<void> apply(const std::vector<AnswerChange>& changes, int64_t now_ms);
  Result<void> clear();
  Result<AnswerTotals> totals() const;

  const std::string& note() const { return note_; }
  uint64_t evictions() const { return evictions_; }

 private:
  AnswerStore(Environment environment, Table answers, Table used, Table order, Table meta,
              uint64_t bytes_max);

  Result<void> check_format();
  Result<AnswerTotals> read_totals(const Transaction& in) const;
  Result<void> write_totals(WriteTransaction& in, const AnswerTotals& totals);
  Result<void> try_apply(const std::vector<AnswerChange>& changes, int64_t now_ms);
  Result<void> apply_one(WriteTransaction& in, const AnswerChange& change, int64_t now_ms,
                         AnswerTotals& totals);
  Result<void> mark_used(WriteTransaction& in, const Hash128& key, AnswerTotals& totals);
  Result<bool> remove(WriteTransaction& in, const Hash128& key, AnswerTotals& totals);
  Result<void> evict_down_to(WriteTransaction& in, uint64_t bytes_max, AnswerTotals& totals);
  Result<void> clear_tables(WriteTransaction& in, AnswerTotals& totals);
  Result<void> make_room();

  Environment environment_;
  Table answers_, used_, order_, meta_;
  uint64_t bytes_max_;
  uint64_t evictions_ = 0;
  std::string note_;
};

}  // namespace tandem
