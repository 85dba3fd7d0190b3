#include "broker/lmdb_journal.h"

#include <string>
#include <utility>
#include <variant>

#include "broker/fact_codec.h"

namespace tandem::broker {
namespace {

constexpr std::string_view kVersionKey = "format_version";

std::string version_bytes() {
  std::string bytes(4, '\0');
  for (size_t i = 0; i < 4; ++i) bytes[i] = static_cast<char>(kFormatVersion >> (8 * i));
  return bytes;
}

std::string describe_version(std::string_view bytes) {
  if (bytes.size() != 4) return std::to_string(bytes.size()) + " bytes";
  uint32_t version = 0;
  for (size_t i = 0; i < 4; ++i) version |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
  return std::to_string(version);
}

// A new journal gets the version; an old one must have it.
Result<void> check_version(Environment& environment, const Table& facts) {
  TANDEM_ASSIGN(Table meta, environment.table("meta"));
  TANDEM_ASSIGN(WriteTransaction transaction, environment.write());
  TANDEM_ASSIGN(const auto found, meta.get(transaction, kVersionKey));
  if (found) {
    if (*found == version_bytes()) return {};
    return fail(ErrorCode::kUnsupported, "expected a journal of format version " +
                                             std::to_string(kFormatVersion) + ", found " +
                                             describe_version(*found) + "; run the broker that wrote it");
  }
  TANDEM_ASSIGN(const uint64_t n_facts, facts.count(transaction));
  if (n_facts > 0)
    return fail(ErrorCode::kCorrupt, "expected a journal, found facts without a format version");
  TANDEM_TRY(meta.put(transaction, kVersionKey, version_bytes()));
  return transaction.commit();
}

}  // namespace

LmdbJournal::LmdbJournal(Environment environment, Table facts)
    : environment_(std::move(environment)), facts_(std::move(facts)) {}

Result<std::unique_ptr<LmdbJournal>> LmdbJournal::open(const LmdbJournalOptions& options) {
  EnvironmentOptions store;
  store.map_bytes = options.bytes_max;
  store.durable = true;
  store.exclusive = true;
  auto environment = Environment::open(options.folder, store);
  if (!environment) return fail_in("journal", std::move(environment).error());
  const std::string place = "journal " + options.folder.string();
  auto facts = environment->table("facts");
  if (!facts) return fail_in(place, std::move(facts).error());
  if (auto checked = check_version(*environment, *facts); !checked) {
    return fail_in(place, std::move(checked).error());
  }
  return std::unique_ptr<LmdbJournal>(new LmdbJournal(std::move(*environment), std::move(*facts)));
}

Result<void> LmdbJournal::commit(const FactBatch& batch) {
  owner_.check();
  if (batch.empty()) return {};
  reading_.reset();
  const auto committed = [&]() -> Result<void> {
    TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
    for (const Sequence sequence : batch.forgotten) {
      TANDEM_TRY(facts_.erase(transaction, number_key(sequence)));
    }
    TANDEM_TRY(append(transaction, batch));
    return transaction.commit();
  }();
  if (!committed) return fail_in("journal commit", committed.error());
  return {};
}

// Both kinds, merged in the order of their sequences.
Result<void> LmdbJournal::append(WriteTransaction& transaction, const FactBatch& batch) {
  auto accepted = batch.accepted.begin();
  auto finished = batch.finished.begin();
  while (accepted != batch.accepted.end() || finished != batch.finished.end()) {
    const bool is_accepted = finished == batch.finished.end() ||
                             (accepted != batch.accepted.end() && accepted->sequence < finished->sequence);
    const Sequence sequence = is_accepted ? accepted->sequence : finished->sequence;
    const std::string value = is_accepted ? encode(*accepted++) : encode(*finished++);
    TANDEM_TRY(facts_.put_append(transaction, number_key(sequence), value));
  }
  return {};
}

Result<void> LmdbJournal::replay(const ReplayVisitor& visitor) {
  owner_.check();
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  Result<void> outcome;
  const auto visit = [&](std::string_view key, std::string_view value) {
    outcome = [&]() -> Result<void> {
      const auto sequence = number_from_key(key);
      if (!sequence)
        return fail(ErrorCode::kCorrupt, "expected a key of 8 bytes, found " + std::to_string(key.size()));
      TANDEM_ASSIGN(DecodedHead head, decode_head(*sequence, value));
      if (auto* accepted = std::get_if<AcceptedFact>(&head.fact)) {
        return visitor.accepted(std::move(*accepted), head.payload_bytes);
      }
      return visitor.finished(std::get<FinishedFact>(std::move(head.fact)));
    }();
    return outcome.has_value();
  };
  TANDEM_TRY(facts_.for_each(transaction, {}, visit));
  if (!outcome) return fail_in("journal " + environment_.folder().string(), outcome.error());
  return {};
}

Result<FactBody> LmdbJournal::read(Sequence sequence) {
  owner_.check();
  if (!reading_) {
    TANDEM_ASSIGN(reading_, environment_.read());
  }
  TANDEM_ASSIGN(const auto found, facts_.get(*reading_, number_key(sequence)));
  if (!found) return fail(ErrorCode::kNotFound, "journal: no fact " + std::to_string(sequence));
  TANDEM_ASSIGN(DecodedHead head, decode_head(sequence, *found));
  TANDEM_ASSIGN(const std::string_view payload, decode_payload(sequence, *found));
  FactBody body{std::string(payload), {}};
  if (auto* finished = std::get_if<FinishedFact>(&head.fact)) body.error = std::move(finished->error);
  return body;
}

Result<JournalUsage> LmdbJournal::usage() {
  owner_.check();
  TANDEM_ASSIGN(const StoreUsage usage, environment_.usage());
  return JournalUsage{usage.used_bytes, usage.map_bytes};
}

}  // namespace tandem::broker
