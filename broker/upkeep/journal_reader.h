// A journal to look at and not to change: the broker that has it goes on meanwhile.

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

#include "broker/facts.h"
#include "broker/journal.h"
#include "shared/base/result.h"
#include "shared/store/environment.h"

namespace tandem::broker {

// The journal as it was at the commit before it was opened, whatever is written since. The pages of that
// moment are kept until it is closed, so the file of a busy broker may grow meanwhile. One thread.
class JournalReader {
 public:
  // kNotFound: no journal there. kUnsupported: of another format version. kCorrupt: a store, and not a
  // journal. kExists: it is being compacted.
  static Result<JournalReader> open(const std::filesystem::path& folder);

  // A fact's bytes (fact_codec.h), as long as the reader lives. Nothing: no such fact.
  Result<std::optional<std::string_view>> find(Sequence sequence) const;
  // All facts in the order of their keys, which are numbers of 8 bytes if nothing is damaged, until `visit`
  // says false; and the keys of those that are acknowledged.
  Result<void> for_facts(
      const std::function<bool(std::string_view key, std::string_view bytes)>& visit) const;
  Result<void> for_acknowledged(const std::function<bool(std::string_view key)>& visit) const;

  // How many the store says there are.
  Result<uint64_t> n_facts() const { return facts_.count(transaction_); }
  Result<uint64_t> n_acknowledged() const { return acknowledged_.count(transaction_); }
  uint64_t hash_seed() const { return hash_seed_; }
  Result<JournalUsage> usage() const;  // bytes_max: as the last broker had it
  const Environment& environment() const { return environment_; }

 private:
  JournalReader(Environment environment, ReadTransaction transaction, Table facts, Table acknowledged,
                uint64_t hash_seed);

  Environment environment_;
  ReadTransaction transaction_;
  Table facts_, acknowledged_;
  uint64_t hash_seed_;
};

}  // namespace tandem::broker
