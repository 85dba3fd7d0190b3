#include "broker/upkeep/journal_reader.h"

#include <string>
#include <utility>

#include "broker/journal_meta.h"

namespace tandem::broker {

Result<JournalReader> JournalReader::open(const std::filesystem::path& folder) {
  EnvironmentOptions options;
  options.read_only = true;
  auto environment = Environment::open(folder, options);
  if (!environment) return fail_in("journal", std::move(environment).error());
  const auto table = [&](const char* name) -> Result<Table> {
    auto opened = environment->table(name);
    if (!opened && opened.error().code == ErrorCode::kNotFound) {
      return fail(ErrorCode::kCorrupt,
                  "expected a journal, found a store without the table '" + std::string(name) + "'");
    }
    return opened;
  };
  auto reader = [&]() -> Result<JournalReader> {
    TANDEM_ASSIGN(Table facts, table("facts"));
    TANDEM_ASSIGN(Table acknowledged, table("acknowledged"));
    TANDEM_ASSIGN(const Table meta, table("meta"));
    TANDEM_ASSIGN(ReadTransaction transaction, environment->read());
    TANDEM_ASSIGN(const auto found, read_meta(transaction, meta));
    if (!found) return fail(ErrorCode::kCorrupt, "expected a journal, found no format version");
    return JournalReader(std::move(*environment), std::move(transaction), std::move(facts),
                         std::move(acknowledged), found->hash_seed);
  }();
  if (!reader) return fail_in("journal " + folder.string(), std::move(reader).error());
  return reader;
}

JournalReader::JournalReader(Environment environment, ReadTransaction transaction, Table facts,
                             Table acknowledged, uint64_t hash_seed)
    : environment_(std::move(environment)),
      transaction_(std::move(transaction)),
      facts_(std::move(facts)),
      acknowledged_(std::move(acknowledged)),
      hash_seed_(hash_seed) {}

Result<std::optional<std::string_view>> JournalReader::find(Sequence sequence) const {
  return facts_.get(transaction_, number_key(sequence));
}

Result<void> JournalReader::for_facts(
    const std::function<bool(std::string_view key, std::string_view bytes)>& visit) const {
  return facts_.for_each(transaction_, {}, visit);
}

Result<void> JournalReader::for_acknowledged(const std::function<bool(std::string_view key)>& visit) const {
  return acknowledged_.for_each(transaction_, {},
                                [&](std::string_view key, std::string_view) { return visit(key); });
}

Result<JournalUsage> JournalReader::usage() const {
  TANDEM_ASSIGN(const StoreUsage usage, environment_.usage());
  return JournalUsage{usage.used_bytes, usage.map_bytes};
}

}  // namespace tandem::broker
