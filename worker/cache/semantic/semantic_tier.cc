#include "worker/cache/semantic/semantic_tier.h"

#include <algorithm>
#include <map>

#include "shared/base/format.h"
#include "worker/cache/semantic/semantic_index.h"
#include "worker/cache/semantic/semantic_store.h"

namespace tandem::semantic {
namespace {

constexpr size_t kDonors = 4;          // how many of the nearest the gates look at
constexpr size_t kPendingMax = 256;    // donors and outcomes that wait for a flush
constexpr uint64_t kGatesVersion = 1;  // evidence was learned behind gates: other gates, other evidence
constexpr uint64_t kProvisional = 1ull << 63;  // ids of donors that are not written yet

class Tier final : public SemanticTier {
 public:
  Tier(SemanticStore store, const Embedder& embedder, uint64_t seed)
      : store_(std::move(store)), embedder_(embedder), draws_(seed) {}

  Result<SemanticDecision> decide(const SemanticScope& scope, const SemanticPolicy& policy,
                                  std::string_view text, int64_t now_ms) override;
  void learn(const SemanticAudit& audit, bool wrong) override;
  Result<void> add(const SemanticScope& scope, const SemanticPolicy& policy, std::string_view text,
                   const Hash128& answer_key, int64_t expires_ms) override;
  Result<void> forget(uint64_t donor_id) override;
  Result<void> flush() override;
  Result<void> clear() override;
  SemanticStats stats() const override { return stats_; }
  SemanticBound bound(const SemanticScope& scope, const SemanticPolicy& policy) const override;
  const std::string& note() const override { return store_.note(); }

  Result<void> refresh();

 private:
  struct Outcome {
    AuditTicket ticket;
    bool wrong;
  };

  Hash128 donor_scope(const SemanticScope& scope) const;
  Hash128 evidence_scope(const SemanticScope& scope, const SemanticPolicy& policy) const;
  Result<Calibration*> calibration(const SemanticScope& scope, const SemanticPolicy& policy, Hash128& key);
  // The nearest donor that is there, not expired, and passes the gates; or the first refusal.
  Result<void> find_donor(SemanticIndex& index, const TextFacts& facts, const SemanticPolicy& policy,
                          const std::vector<float>& vector, int64_t now_ms, SemanticDecision& decision);
  Result<void> keep(SemanticEntry entry);
  void drop(uint64_t id);
  Result<void> write_donors();
  Result<void> write_outcomes();
  double draw();

  SemanticStore store_;
  const Embedder& embedder_;
  uint64_t draws_;
  std::map<Hash128, SemanticIndex> indexes_;
  std::map<uint64_t, SemanticEntry> donors_;  // their vectors are in the index
  std::vector<SemanticEntry> pending_;        // with provisional ids
  uint64_t next_provisional_ = kProvisional;
  uint64_t next_id_ = 1;  // the first that was not read yet
  std::map<Hash128, Calibration> calibrations_;
  std::map<Hash128, std::vector<Outcome>> outcomes_;
  size_t n_outcomes_ = 0;
  SemanticStats stats_;
};

// ---- scopes ----------------------------------------------------------------------------------------------

Hash128 Tier::donor_scope(const SemanticScope& scope) const {
  HashBuilder hash;
  hash.add("semantic donors")
      .add(scope.task_fingerprint)
      .add(scope.model_fingerprint)
      .add(scope.cache_namespace);
  return hash.add_bytes(scope.context.bytes.data(), scope.context.bytes.size())
      .add(embedder_.fingerprint())
      .finish();
}

Hash128 Tier::evidence_scope(const SemanticScope& scope, const SemanticPolicy& policy) const {
  HashBuilder hash;
  hash.add("semantic evidence").add(scope.task_fingerprint).add(scope.model_fingerprint);
  hash.add(embedder_.fingerprint()).add(kGatesVersion);
  const GateSettings& gates = policy.gates;
  hash.add(uint64_t{gates.units_min}).add(gates.length_ratio_max).add(gates.script_distance_max);
  const CalibrationSettings& settings = policy.calibration;
  hash.add(settings.delta).add(settings.alpha).add(settings.audit_share).add(settings.shadow_share);
  for (const double threshold : settings.thresholds) hash.add(threshold);
  return hash.finish();
}

Result<Calibration*> Tier::calibration(const SemanticScope& scope, const SemanticPolicy& policy,
                                       Hash128& key) {
  key = evidence_scope(scope, policy);
  const auto found = calibrations_.find(key);
  if (found != calibrations_.end()) return &found->second;
  TANDEM_TRY(check(policy.calibration));
  Calibration& made = calibrations_.emplace(key, Calibration(policy.calibration)).first->second;
  TANDEM_ASSIGN(const std::optional<std::string> bytes, store_.evidence(key));
  if (bytes) (void)made.restore(*bytes);  // damaged: it starts closed, and evidence comes again
  return &made;
}

SemanticBound Tier::bound(const SemanticScope& scope, const SemanticPolicy& policy) const {
  SemanticBound bound;
  bound.delta = policy.calibration.delta;
  bound.alpha = policy.calibration.alpha;
  const auto found = calibrations_.find(evidence_scope(scope, policy));
  if (found == calibrations_.end()) return bound;
  const Calibration& known = found->second;
  bound.open = known.is_open();
  bound.threshold = known.threshold();
  size_t region = known.regions().size() - 1;
  for (size_t k = 0; k < known.regions().size(); ++k) {
    if (bound.open && known.settings().thresholds[k] == bound.threshold) region = k;
  }
  bound.audited = known.regions()[region].audited();
  bound.wrong = known.regions()[region].wrong();
  return bound;
}

// ---- questions -------------------------------------------------------------------------------------------

// splitmix64 (Steele, Lea and Flood 2014) of a counter.
double Tier::draw() {
  uint64_t x = draws_ += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return static_cast<double>((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

Result<SemanticDecision> Tier::decide(const SemanticScope& scope, const SemanticPolicy& policy,
                                      std::string_view text, int64_t now_ms) {
  Hash128 evidence;
  TANDEM_ASSIGN(const Calibration* known, calibration(scope, policy, evidence));
  SemanticDecision decision;
  const TextFacts facts = facts_of(text);
  decision.refusal = check_alone(facts, policy.gates);
  const auto index = indexes_.find(donor_scope(scope));
  if (!decision.refusal && index != indexes_.end()) {
    TANDEM_ASSIGN(const std::vector<float> vector, embedder_.embed(text));
    TANDEM_TRY(find_donor(index->second, facts, policy, vector, now_ms, decision));
  }
  if (!decision.donor) {
    decision.kind =
        decision.refusal ? SemanticDecision::Kind::kRefused : SemanticDecision::Kind::kNothingNear;
    stats_.nothing_near += !decision.refusal;
    if (decision.refusal) ++stats_.refused[static_cast<size_t>(decision.refusal->gate)];
    return decision;
  }
  decision.refusal.reset();
  const CalibratedDecision verdict = known->decide(decision.donor->similarity, draw());
  if (verdict.audit) decision.audit = SemanticAudit{evidence, verdict.ticket};
  decision.kind = verdict.serve ? SemanticDecision::Kind::kServe : SemanticDecision::Kind::kClosed;
  stats_.hits += verdict.serve;
  stats_.closed += !verdict.serve;
  if (verdict.serve) {
    decision.rule =
        fmt::format("similarity {:.3f} >= {:.3f}, P(wrong) <= {} by {} audits", decision.donor->similarity,
                    known->threshold(), policy.calibration.delta, known->n_audits());
  }
  return decision;
}

Result<void> Tier::find_donor(SemanticIndex& index, const TextFacts& facts, const SemanticPolicy& policy,
                              const std::vector<float>& vector, int64_t now_ms, SemanticDecision& decision) {
  TANDEM_ASSIGN(const std::vector<Neighbour> near, index.search(vector, kDonors));
  for (const Neighbour& neighbour : near) {
    if (neighbour.similarity < policy.calibration.thresholds.back()) return {};
    const auto found = donors_.find(neighbour.id);
    if (found == donors_.end()) continue;
    const SemanticEntry& entry = found->second;
    TANDEM_ASSIGN(const bool there,
                  neighbour.id >= kProvisional ? Result<bool>(true) : store_.has(neighbour.id));
    if (!there || entry.expired(now_ms)) {  // evicted by another process, or too old
      drop(neighbour.id);
      continue;
    }
    auto refusal = check_gates(facts, facts_of(entry.text), policy.gates);
    if (!refusal) {
      decision.donor = SemanticDonor{entry.id, entry.answer_key, entry.text, neighbour.similarity};
      return {};
    }
    if (!decision.refusal) decision.refusal = std::move(refusal);
  }
  return {};
}

// ---- donors and outcomes ---------------------------------------------------------------------------------

Result<void> Tier::keep(SemanticEntry entry) {
  auto index = indexes_.try_emplace(entry.scope, embedder_.dimension()).first;
  TANDEM_TRY(index->second.add(entry.id, entry.vector));
  entry.vector.clear();
  entry.vector.shrink_to_fit();
  const uint64_t id = entry.id;
  donors_.insert_or_assign(id, std::move(entry));
  return {};
}

void Tier::drop(uint64_t id) {
  const auto found = donors_.find(id);
  if (found == donors_.end()) return;
  const auto index = indexes_.find(found->second.scope);
  if (index != indexes_.end()) {
    index->second.remove(id);
    if (index->second.size() == 0) indexes_.erase(index);
  }
  donors_.erase(found);
}

Result<void> Tier::add(const SemanticScope& scope, const SemanticPolicy& policy, std::string_view text,
                       const Hash128& answer_key, int64_t expires_ms) {
  if (check_alone(facts_of(text), policy.gates)) return {};
  SemanticEntry entry{next_provisional_++, donor_scope(scope), answer_key, expires_ms, {}, std::string(text)};
  TANDEM_ASSIGN(entry.vector, embedder_.embed(text));
  pending_.push_back(entry);
  TANDEM_TRY(keep(std::move(entry)));
  return pending_.size() < kPendingMax ? Result<void>() : flush();
}

void Tier::learn(const SemanticAudit& audit, bool wrong) {
  ++stats_.audits;
  stats_.audits_wrong += wrong;
  const auto known = calibrations_.find(audit.evidence_scope);
  if (known == calibrations_.end()) return;  // of another process's life
  known->second.learn(audit.ticket, wrong);
  outcomes_[audit.evidence_scope].push_back({audit.ticket, wrong});
  if (++n_outcomes_ >= kPendingMax) (void)write_outcomes();  // what fails now is tried again by flush()
}

Result<void> Tier::forget(uint64_t donor_id) {
  drop(donor_id);
  if (donor_id < kProvisional) return store_.remove({donor_id});
  std::erase_if(pending_, [&](const SemanticEntry& entry) { return entry.id == donor_id; });
  return {};
}

Result<void> Tier::flush() {
  TANDEM_TRY(write_donors());
  TANDEM_TRY(write_outcomes());
  return refresh();
}

// After an error they are gone.
Result<void> Tier::write_donors() {
  if (pending_.empty()) return {};
  std::vector<SemanticEntry> written = std::move(pending_);
  pending_.clear();
  std::vector<uint64_t> provisional;
  for (const SemanticEntry& entry : written) provisional.push_back(entry.id);
  if (auto done = store_.add(written); !done) {
    for (const uint64_t id : provisional) drop(id);
    return done;
  }
  for (size_t i = 0; i < written.size(); ++i) {
    auto donor = donors_.extract(provisional[i]);
    if (donor.empty()) continue;
    const auto index = indexes_.find(donor.mapped().scope);
    if (index != indexes_.end()) index->second.rename(provisional[i], written[i].id);
    donor.key() = donor.mapped().id = written[i].id;
    donors_.insert(std::move(donor));
  }
  return {};
}

// What all processes learned, and then what this one did since: each outcome counts once.
Result<void> Tier::write_outcomes() {
  for (auto at = outcomes_.begin(); at != outcomes_.end(); at = outcomes_.erase(at)) {
    Calibration& known = calibrations_.at(at->first);
    TANDEM_TRY(store_.change_evidence(at->first, [&](std::string_view bytes) {
      Calibration stored(known.settings());
      if (!bytes.empty()) (void)stored.restore(bytes);
      for (const Outcome& outcome : at->second) stored.learn(outcome.ticket, outcome.wrong);
      known = stored;
      return stored.save();
    }));
    n_outcomes_ -= at->second.size();
  }
  return {};
}

Result<void> Tier::refresh() {
  TANDEM_ASSIGN(const uint64_t oldest, store_.oldest());
  while (!donors_.empty() && donors_.begin()->first < oldest) drop(donors_.begin()->first);  // evicted
  Result<void> kept;
  TANDEM_TRY(store_.for_each(next_id_, [&](SemanticEntry entry) {
    next_id_ = entry.id + 1;
    if (donors_.contains(entry.id)) return;                    // written by us
    if (entry.vector.size() != embedder_.dimension()) return;  // of another embedder: not in our scopes
    if (auto done = keep(std::move(entry)); !done) kept = done;
  }));
  for (auto& [key, known] : calibrations_) {
    if (outcomes_.contains(key)) continue;
    TANDEM_ASSIGN(const std::optional<std::string> bytes, store_.evidence(key));
    if (bytes) (void)known.restore(*bytes);
  }
  TANDEM_ASSIGN(const SemanticTotals totals, store_.totals());
  stats_.entries = totals.entries;
  stats_.bytes = totals.bytes;
  stats_.evictions = store_.evictions();
  return kept;
}

Result<void> Tier::clear() {
  pending_.clear();
  donors_.clear();
  indexes_.clear();
  TANDEM_TRY(store_.clear());
  return refresh();
}

}  // namespace

Result<std::unique_ptr<SemanticTier>> SemanticTier::open(const SemanticTierOptions& options,
                                                         const Embedder& embedder) {
  TANDEM_ASSIGN(SemanticStore store, SemanticStore::open(options.folder, options.bytes_max));
  auto tier = std::make_unique<Tier>(std::move(store), embedder, options.seed);
  TANDEM_TRY(tier->refresh());
  return std::unique_ptr<SemanticTier>(std::move(tier));
}

}  // namespace tandem::semantic
