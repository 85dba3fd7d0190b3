#include "broker/lmdb_journal.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <variant>

#include "broker/fact_codec.h"
#include "broker/journal_meta.h"

namespace tandem::broker {
namespace {

// Above bytes_max, which the broker keeps to: in a store without a free page nothing could be forgotten any
// more.
constexpr uint64_t kSpareBytes = 16u << 20;

// A new journal gets version and seed; an old one must have them. The seed.
Result<uint64_t> check_meta(Environment& environment, const Table& facts) {
  TANDEM_ASSIGN(Table meta, environment.table("meta"));
  TANDEM_ASSIGN(WriteTransaction transaction, environment.write());
  TANDEM_ASSIGN(const auto found, read_meta(transaction, meta));
  if (found) return found->hash_seed;
  TANDEM_ASSIGN(const uint64_t n_facts, facts.count(transaction));
  if (n_facts > 0)
    return fail(ErrorCode::kCorrupt, "expected a journal, found facts without a format version");
  std::random_device random;
  const uint64_t seed = uint64_t{random()} << 32 | random();
  TANDEM_TRY(write_meta(transaction, meta, {kFormatVersion, seed}));
  TANDEM_TRY(transaction.commit());
  return seed;
}

}  // namespace

LmdbJournal::LmdbJournal(Environment environment, Table facts, Table acknowledged, uint64_t bytes_max,
                         uint64_t hash_seed)
    : environment_(std::move(environment)),
      facts_(std::move(facts)),
      acknowledged_(std::move(acknowledged)),
      bytes_max_(bytes_max),
      hash_seed_(hash_seed) {}

Result<std::unique_ptr<LmdbJournal>> LmdbJournal::open(const LmdbJournalOptions& options) {
  EnvironmentOptions store;
  store.map_bytes = options.bytes_max + kSpareBytes;
  store.durable = true;
  store.exclusive = true;
  auto environment = Environment::open(options.folder, store);
  if (!environment) return fail_in("journal", std::move(environment).error());
  const std::string place = "journal " + options.folder.string();
  auto facts = environment->table("facts");
  if (!facts) return fail_in(place, std::move(facts).error());
  auto acknowledged = environment->table("acknowledged");
  if (!acknowledged) return fail_in(place, std::move(acknowledged).error());
  const auto seed = check_meta(*environment, *facts);
  if (!seed) return fail_in(place, seed.error());
  return std::unique_ptr<LmdbJournal>(new LmdbJournal(std::move(*environment), std::move(*facts),
                                                      std::move(*acknowledged), options.bytes_max, *seed));
}

Result<void> LmdbJournal::commit(std::span<const FactBatch* const> batches) {
  if (std::all_of(batches.begin(), batches.end(), [](const FactBatch* batch) { return batch->empty(); }))
    return {};
  const auto committed = [&]() -> Result<void> {
    TANDEM_ASSIGN(WriteTransaction transaction, environment_.write());
    for (const FactBatch* batch : batches) TANDEM_TRY(write(transaction, *batch));
    return transaction.commit();
  }();
  if (!committed) return fail_in("journal commit", committed.error());
  ++n_commits_;
  return {};
}

Result<void> LmdbJournal::write(WriteTransaction& transaction, const FactBatch& batch) {
  for (const Sequence sequence : batch.forgotten) {
    TANDEM_TRY(facts_.erase(transaction, number_key(sequence)));
    TANDEM_TRY(acknowledged_.erase(transaction, number_key(sequence)));
  }
  TANDEM_TRY(append(transaction, batch));
  for (const Sequence sequence : batch.acknowledged) {
    TANDEM_TRY(acknowledged_.put(transaction, number_key(sequence), {}));
  }
  return {};
}

// Both kinds, merged in the order of their sequences.
Result<void> LmdbJournal::append(WriteTransaction& transaction, const FactBatch& batch) {
  auto accepted = batch.accepted.begin();
  auto finished = batch.finished.begin();
  if (accepted == batch.accepted.end() && finished == batch.finished.end()) return {};
  TANDEM_ASSIGN(Appender appender, Appender::open(transaction, facts_));
  const auto add = [&](const auto& fact) -> Result<void> {
    TANDEM_ASSIGN(char* const out, appender.append(number_key(fact.sequence), encoded_bytes(fact)));
    encode(fact, hash_seed_, out);
    return {};
  };
  while (accepted != batch.accepted.end() || finished != batch.finished.end()) {
    const bool is_accepted = finished == batch.finished.end() ||
                             (accepted != batch.accepted.end() && accepted->sequence < finished->sequence);
    TANDEM_TRY(is_accepted ? add(*accepted++) : add(*finished++));
  }
  return {};
}

Result<void> LmdbJournal::replay(const ReplayVisitor& visitor) {
  TANDEM_ASSIGN(const ReadTransaction transaction, environment_.read());
  Result<void> outcome;
  const auto visit = [&](std::string_view key, std::string_view value) {
    outcome = [&]() -> Result<void> {
      const auto sequence = number_from_key(key);
      if (!sequence)
        return fail(ErrorCode::kCorrupt, "expected a key of 8 bytes, found " + std::to_string(key.size()));
      TANDEM_ASSIGN(DecodedHead head, decode_head(*sequence, value, hash_seed_));
      if (auto* accepted = std::get_if<AcceptedFact>(&head.fact)) {
        return visitor.accepted(std::move(*accepted), head.payload_bytes);
      }
      return visitor.finished(std::get<FinishedFact>(std::move(head.fact)), head.payload_bytes);
    }();
    return outcome.has_value();
  };
  TANDEM_TRY(facts_.for_each(transaction, {}, visit));
  if (!outcome) return fail_in("journal " + environment_.folder().string(), outcome.error());
  return acknowledged_.for_each(transaction, {}, [&](std::string_view key, std::string_view) {
    if (const auto sequence = number_from_key(key)) visitor.acknowledged(*sequence);
    return true;
  });
}

Result<FactBody> LmdbJournal::read(Sequence sequence) {
  if (!reading_ || reading_since_ != n_commits_) {
    reading_.reset();
    reading_since_ = n_commits_;
    TANDEM_ASSIGN(reading_, environment_.read());
  }
  TANDEM_ASSIGN(const auto found, facts_.get(*reading_, number_key(sequence)));
  if (!found) return fail(ErrorCode::kNotFound, "journal: no fact " + std::to_string(sequence));
  TANDEM_ASSIGN(DecodedHead head, decode_head(sequence, *found, hash_seed_));
  TANDEM_ASSIGN(const std::string_view payload, decode_payload(sequence, *found, hash_seed_));
  FactBody body{Bytes(payload), {}};
  if (auto* finished = std::get_if<FinishedFact>(&head.fact)) body.error = std::move(finished->error);
  return body;
}

Result<JournalUsage> LmdbJournal::usage() {
  TANDEM_TRY(environment_.check_in_place());
  TANDEM_ASSIGN(const StoreUsage usage, environment_.usage());
  return JournalUsage{usage.used_bytes, bytes_max_};
}

}  // namespace tandem::broker
