#include "broker/upkeep/journal_check.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "broker/fact_codec.h"

namespace tandem::broker {
namespace {

constexpr uint64_t kProgressEvery = 4'096;

class Check {
 public:
  Check(const JournalReader& journal, const std::function<void(uint64_t, uint64_t)>& progress)
      : journal_(journal), progress_(progress) {}

  Result<JournalReport> run() {
    TANDEM_ASSIGN(const uint64_t n_facts, journal_.n_facts());
    walked("facts", journal_.for_facts([&](std::string_view key, std::string_view bytes) {
      if (progress_ && report_.n_facts % kProgressEvery == 0) progress_(report_.n_facts, n_facts);
      ++report_.n_facts;
      look_at(key, bytes);
      return true;
    }));
    counts_agree("facts", report_.n_facts, n_facts);
    look_at_acknowledged();
    look_for_twins();
    report_.n_jobs[static_cast<size_t>(JobState::kReady)] =
        report_.n_accepted - std::min(report_.n_accepted, report_.n_finished);
    if (progress_) progress_(report_.n_facts, n_facts);
    return std::move(report_);
  }

 private:
  void damaged(std::string text) {
    ++report_.n_damages;
    if (report_.damages.size() < kDamagesTold) report_.damages.push_back(std::move(text));
  }
  void damaged(Sequence sequence, const std::string& text) {
    damaged("fact " + std::to_string(sequence) + ": " + text);
  }
  // A tree that is broken ends the walk.
  void walked(const std::string& table, const Result<void>& outcome) {
    if (!outcome) damaged("table '" + table + "': " + outcome.error().text);
  }
  void counts_agree(const std::string& table, uint64_t n_walked, uint64_t n_told) {
    if (n_walked == n_told) return;
    damaged("table '" + table + "': expected the " + std::to_string(n_told) + " records it counts, found " +
            std::to_string(n_walked));
  }

  void look_at(std::string_view key, std::string_view bytes) {
    const auto sequence = number_from_key(key);
    if (!sequence)
      return damaged("table 'facts': expected a key of 8 bytes, found " + std::to_string(key.size()));
    auto head = decode_head(*sequence, bytes, journal_.hash_seed());
    if (!head) return damaged(std::move(head).error().text);
    const auto payload = decode_payload(*sequence, bytes, journal_.hash_seed());
    if (!payload) damaged(payload.error().text);
    report_.payload_bytes += head->payload_bytes;
    std::visit([&](const auto& fact) { look_at(fact); }, head->fact);
  }

  void look_at(const AcceptedFact& fact) {
    ++report_.n_accepted;
    stands_at(fact.wall_ms);
    accepted_.emplace_back(fact.id, fact.sequence);
  }

  void look_at(const FinishedFact& fact) {
    ++report_.n_finished;
    ++report_.n_jobs[static_cast<size_t>(fact.state)];
    stands_at(fact.wall_ms);
    finished_.emplace_back(fact.accepted, fact.sequence);
    const std::string text = "job " + fact.id.to_string() + " finished, and fact " +
                             std::to_string(fact.accepted) + ", which accepted it, ";
    const auto bytes = journal_.find(fact.accepted);
    if (!bytes || !*bytes) return damaged(fact.sequence, text + "is not there");
    const auto head = decode_head(fact.accepted, **bytes, journal_.hash_seed());
    if (!head) return damaged(fact.sequence, text + "is damaged");
    const auto* accepted = std::get_if<AcceptedFact>(&head->fact);
    if (accepted == nullptr) return damaged(fact.sequence, text + "accepts nothing");
    if (accepted->id != fact.id) {
      damaged(fact.sequence, text + "accepts job " + accepted->id.to_string());
    } else if (fact.accepted >= fact.sequence) {
      damaged(fact.sequence, text + "comes after it");
    }
  }

  void stands_at(int64_t wall_ms) {
    report_.oldest_ms = report_.oldest_ms == 0 ? wall_ms : std::min(report_.oldest_ms, wall_ms);
    report_.newest_ms = std::max(report_.newest_ms, wall_ms);
  }

  void look_at_acknowledged() {
    // In the order of their own sequences: as they were found.
    const auto is_finished = [&](Sequence sequence) {
      const auto at = std::lower_bound(finished_.begin(), finished_.end(), sequence,
                                       [](const auto& one, Sequence own) { return one.second < own; });
      return at != finished_.end() && at->second == sequence;
    };
    walked("acknowledged", journal_.for_acknowledged([&](std::string_view key) {
      ++report_.n_acknowledged;
      const auto sequence = number_from_key(key);
      if (!sequence) {
        damaged("table 'acknowledged': expected a key of 8 bytes, found " + std::to_string(key.size()));
      } else if (!is_finished(*sequence)) {
        damaged("table 'acknowledged': expected the numbers of finished facts, found " +
                std::to_string(*sequence));
      }
      return true;
    }));
    if (const auto told = journal_.n_acknowledged()) {
      counts_agree("acknowledged", report_.n_acknowledged, *told);
    }
  }

  void look_for_twins() {
    std::sort(accepted_.begin(), accepted_.end());
    for (size_t i = 1; i < accepted_.size(); ++i) {
      const auto& [id, sequence] = accepted_[i];
      if (accepted_[i - 1].first != id) continue;
      damaged(sequence, "job " + id.to_string() + " is accepted, as it was by fact " +
                            std::to_string(accepted_[i - 1].second));
    }
    std::sort(finished_.begin(), finished_.end());
    for (size_t i = 1; i < finished_.size(); ++i) {
      const auto& [accepted, sequence] = finished_[i];
      if (finished_[i - 1].first != accepted) continue;
      damaged(sequence, "the job of fact " + std::to_string(accepted) + " is finished, as it was by fact " +
                            std::to_string(finished_[i - 1].second));
    }
  }

  const JournalReader& journal_;
  const std::function<void(uint64_t, uint64_t)>& progress_;
  JournalReport report_;
  std::vector<std::pair<JobId, Sequence>> accepted_;
  std::vector<std::pair<Sequence, Sequence>> finished_;  // of the accepted fact, its own
};

}  // namespace

Result<JournalReport> check_journal(const JournalReader& journal,
                                    const std::function<void(uint64_t, uint64_t)>& progress) {
  return Check(journal, progress).run();
}

}  // namespace tandem::broker
