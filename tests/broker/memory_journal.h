// A journal without a disk: what the broker's decisions rest on, for tests that kill and replay it.

#pragma once

#include <map>
#include <set>
#include <utility>
#include <variant>

#include "broker/journal.h"

namespace tandem::broker {

class MemoryJournal final : public Journal {
 public:
  using Journal::commit;
  Result<void> commit(std::span<const FactBatch* const> batches) override {
    for (const FactBatch* batch : batches) write(*batch);
    return {};
  }

  Result<void> replay(const ReplayVisitor& visitor) override {
    for (const auto& [sequence, fact] : facts_) {
      if (const auto* accepted = std::get_if<AcceptedFact>(&fact)) {
        AcceptedFact head = *accepted;
        head.payload = {};
        TANDEM_TRY(visitor.accepted(std::move(head), accepted->payload.size()));
      } else {
        FinishedFact head = std::get<FinishedFact>(fact);
        const size_t n_bytes = head.payload.size();
        head.payload = {};
        TANDEM_TRY(visitor.finished(std::move(head), n_bytes));
      }
    }
    for (const Sequence sequence : acknowledged_) visitor.acknowledged(sequence);
    return {};
  }

  Result<FactBody> read(Sequence sequence) override {
    const auto found = facts_.find(sequence);
    if (found == facts_.end()) return fail(ErrorCode::kNotFound, "no such fact");
    if (const auto* accepted = std::get_if<AcceptedFact>(&found->second))
      return FactBody{accepted->payload, {}};
    const auto& finished = std::get<FinishedFact>(found->second);
    return FactBody{finished.payload, finished.error};
  }

  Result<JournalUsage> usage() override { return JournalUsage{0, 1u << 30}; }

  uint64_t hash_seed() const override { return 17; }

  const std::map<Sequence, std::variant<AcceptedFact, FinishedFact>>& facts() const { return facts_; }

 private:
  void write(const FactBatch& batch) {
    for (const AcceptedFact& fact : batch.accepted) facts_.emplace(fact.sequence, fact);
    for (const FinishedFact& fact : batch.finished) facts_.emplace(fact.sequence, fact);
    for (const Sequence sequence : batch.forgotten) {
      facts_.erase(sequence);
      acknowledged_.erase(sequence);
    }
    acknowledged_.insert(batch.acknowledged.begin(), batch.acknowledged.end());
  }

  std::map<Sequence, std::variant<AcceptedFact, FinishedFact>> facts_;
  std::set<Sequence> acknowledged_;
};

}  // namespace tandem::broker
