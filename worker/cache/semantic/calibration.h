// From which similarity on answers may be served, learned from audits, so that P(wrong | served) <= δ.
//
// Region k is all candidates (they passed the gates) with a score of at least threshold k, of a fixed grid.
// Each has its own ErrorEvidence with α / (number of thresholds); the lowest threshold whose evidence
// convinces is open, and candidates above it are served. By the union bound the chance that an open region
// ever has P(wrong) > δ is at most α, however the thresholds were chosen and whenever one looks. Not taken:
// fixed-sequence testing from the top down, which saves a quarter of the audits but is stuck for ever when
// the highest region is small or has wrong labels.
//
// What is audited, and why this is fair to what is served: each candidate draws a number in [0, 1) that knows
// nothing of its answer. While all is closed, the candidate's answer is not used and the model computes one
// anyway: comparing them costs nothing, `shadow_share` of them are audited. When a region is open,
// `audit_share` of the hits are computed all the same, on idle workers: a random sample of what users see.
// Candidates below the open threshold are audited more often than those above; in regions that hold both they
// weigh audit_share / shadow_share, so that every region's evidence is an unbiased sample of it. An audit
// without an outcome (the model failed) is dropped; that must not depend on whether the donor was right.
//
// The bound is for a stream that goes on as it was. After a change, what is open closes after a few wrong
// audits: evidence is capped (error_evidence.h), and starts again when it is lost.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/base/result.h"
#include "worker/cache/semantic/error_evidence.h"

namespace tandem::semantic {

struct CalibrationSettings {
  double delta = 0.02;        // the largest acceptable P(wrong | served), 0..0.5, both excluded
  double alpha = 0.05;        // the chance that the bound does not hold, 0..0.5, both excluded
  double audit_share = 0.05;  // of hits, 0..1; 0 never closes again
  double shadow_share = 1.0;  // of candidates that are not served; at least audit_share
  std::vector<double> thresholds = {0.98,  0.96, 0.94,  0.92, 0.9,  0.875, 0.85,
                                    0.825, 0.8,  0.775, 0.75, 0.72, 0.69,  0.65};  // falling
};
// kInvalid with the setting's name and what was found.
Result<void> check(const CalibrationSettings& settings);

// What an audit needs to know about its candidate, to be given back with the outcome.
struct AuditTicket {
  double score = 0;
  double weight = 1;
};

struct CalibratedDecision {
  bool serve = false;
  bool audit = false;
  AuditTicket ticket;
};

// One task with one model and one embedder. One thread. A pure function of what it was told.
class Calibration {
 public:
  explicit Calibration(CalibrationSettings settings);  // checked before

  // `draw` in [0, 1), random.
  CalibratedDecision decide(double score, double draw) const;
  // The outcome of an audit. They may come late and in any order that does not depend on the outcomes.
  void learn(const AuditTicket& ticket, bool wrong);

  bool is_open() const { return open_ < regions_.size(); }
  // Above all scores while closed.
  double threshold() const;
  const std::vector<ErrorEvidence>& regions() const { return regions_; }
  const CalibrationSettings& settings() const { return settings_; }
  uint64_t n_audits() const { return n_audits_; }

  // Little-endian: "TDCALIB1"; u64 low half of the XXH3-128 of all that follows; f64 δ, α, audit and shadow
  // share; u32 number of regions; u64 audits; per region f64 threshold, 4 f64 wealth, f64 audited, f64 wrong,
  // u64 restarts. Another version or other settings: start anew, evidence comes again.
  std::string save() const;
  // kCorrupt: not these bytes. kInvalid: of other settings. It is unchanged then.
  Result<void> restore(std::string_view bytes);

 private:
  void find_open();

  CalibrationSettings settings_;
  std::vector<ErrorEvidence> regions_;
  size_t open_;  // the lowest convinced region; regions_.size(): none
  uint64_t n_audits_ = 0;
};

}  // namespace tandem::semantic
