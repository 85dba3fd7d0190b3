// What the semantic tier remembers, in one LMDB environment that all workers of the host share.
//
//   table     key                                value
//   entries   id, 8 bytes big-endian             entry, see below; ids rise, so the oldest comes first
//   evidence  calibration scope, 16 bytes        Calibration::save()
//   meta      "format"                           kSemanticFormat
//   meta      "totals"                           entries, bytes, next id: 3 x 8 bytes big-endian
//
// An entry, little-endian: u64 low half of the XXH3-128 of all that follows; u64 id; 16 bytes scope; 16 bytes
// answer key; i64 expires_ms (wall clock; 0 never); u32 dimension; f32 each; the text. A damaged entry is
// left out when it is read. A store of another format is emptied: questions are asked again.

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "shared/base/hash.h"
#include "shared/base/result.h"
#include "shared/store/environment.h"

namespace tandem::semantic {

inline constexpr std::string_view kSemanticFormat = "tandem semantic 1";

struct SemanticEntry {
  uint64_t id = 0;
  Hash128 scope;
  Hash128 answer_key;  // where the answer is, in the answer cache
  int64_t expires_ms = 0;
  std::vector<float> vector;
  std::string text;

  bool expired(int64_t now_ms) const { return expires_ms != 0 && now_ms >= expires_ms; }
};

std::string write_entry(const SemanticEntry& entry);
// Nothing for damaged bytes and for those of another id.
std::optional<SemanticEntry> read_entry(uint64_t id, std::string_view bytes);

struct SemanticTotals {
  uint64_t entries = 0;
  uint64_t bytes = 0;  // entry_bytes() of all
  uint64_t next_id = 1;
};

class SemanticStore {
 public:
  // Over `bytes_max` the oldest entries go. Errors of Environment::open.
  static Result<SemanticStore> open(const std::filesystem::path& folder, uint64_t bytes_max);

  // Gives ids to the entries and writes them, in one transaction. A full map empties the store first.
  Result<void> add(std::vector<SemanticEntry>& entries);
  Result<void> remove(const std::vector<uint64_t>& ids);
  // True when the entry is there still: another process may have evicted it.
  Result<bool> has(uint64_t id) const;
  // The lowest id that is there; the next one to be given when none is.
  Result<uint64_t> oldest() const;
  // All good entries with an id of at least `from`, in order.
  Result<void> for_each(uint64_t from, const std::function<void(SemanticEntry)>& visit) const;

  Result<std::optional<std::string>> evidence(const Hash128& scope) const;
  // Replaces the evidence by what `change` makes of it ("": none yet), while no other process can.
  Result<void> change_evidence(const Hash128& scope,
                               const std::function<std::string(std::string_view)>& change);

  Result<SemanticTotals> totals() const;
  Result<void> clear();
  uint64_t evictions() const { return evictions_; }
  const std::string& note() const { return note_; }  // "" or that it was emptied, for the log

 private:
  SemanticStore(Environment environment, Table entries, Table evidence, Table meta, uint64_t bytes_max);
  Result<void> check_format();
  Result<void> try_add(std::vector<SemanticEntry>& entries);
  Result<SemanticTotals> read_totals(const Transaction& in) const;
  Result<void> write_totals(WriteTransaction& in, const SemanticTotals& totals);
  Result<bool> erase(WriteTransaction& in, uint64_t id, SemanticTotals& totals);

  Environment environment_;
  Table entries_, evidence_, meta_;
  uint64_t bytes_max_;
  uint64_t evictions_ = 0;
  std::string note_;
};

}  // namespace tandem::semantic
