#include "worker/cache/semantic/calibration.h"

#include <cstring>

#include "shared/base/format.h"
#include "shared/base/hash.h"
#include "worker/cache/semantic/byte_fields.h"

namespace tandem::semantic {
namespace {

constexpr std::string_view kMagic = "TDCALIB1";
constexpr size_t kThresholdsMax = 64;

}  // namespace

Result<void> check(const CalibrationSettings& settings) {
  const auto share = [](const char* name, double value, double least, double most) -> Result<void> {
    if (value >= least && value <= most) return {};
    return fail(ErrorCode::kInvalid,
                fmt::format("semantic {}: expected {} to {}, found {}", name, least, most, value));
  };
  TANDEM_TRY(share("delta", settings.delta, 1e-6, 0.499));
  TANDEM_TRY(share("alpha", settings.alpha, 1e-9, 0.499));
  TANDEM_TRY(share("audit_share", settings.audit_share, 0, 1));
  TANDEM_TRY(share("shadow_share", settings.shadow_share, settings.audit_share, 1));
  if (settings.thresholds.empty() || settings.thresholds.size() > kThresholdsMax) {
    return fail(ErrorCode::kInvalid, fmt::format("semantic thresholds: expected 1 to {}, found {}",
                                                 kThresholdsMax, settings.thresholds.size()));
  }
  double last = 1.0 + 1e-9;
  for (const double threshold : settings.thresholds) {
    if (!(threshold > 0 && threshold < last)) {
      return fail(ErrorCode::kInvalid,
                  fmt::format("semantic thresholds: expected falling numbers from 1 to 0, found {} after {}",
                              threshold, last));
    }
    last = threshold;
  }
  return {};
}

Calibration::Calibration(CalibrationSettings settings) : settings_(std::move(settings)) {
  const double alpha = settings_.alpha / static_cast<double>(settings_.thresholds.size());
  regions_.assign(settings_.thresholds.size(), ErrorEvidence(settings_.delta, alpha));
  open_ = regions_.size();
}

void Calibration::find_open() {
  for (open_ = regions_.size(); open_ > 0; --open_) {
    if (regions_[open_ - 1].convinced()) break;
  }
  open_ = open_ == 0 ? regions_.size() : open_ - 1;
}

double Calibration::threshold() const {
  return is_open() ? settings_.thresholds[open_] : 2.0;
}

CalibratedDecision Calibration::decide(double score, double draw) const {
  CalibratedDecision decision;
  decision.ticket.score = score;
  if (score < settings_.thresholds.back()) return decision;
  decision.serve = score >= threshold();
  decision.audit = draw < (decision.serve ? settings_.audit_share : settings_.shadow_share);
  // Without audits of hits there is nothing to be fair to: what is below the open threshold stays closed.
  if (is_open() && !decision.serve) {
    decision.ticket.weight = settings_.audit_share / settings_.shadow_share;
    decision.audit = decision.audit && settings_.audit_share > 0;
  }
  return decision;
}

void Calibration::learn(const AuditTicket& ticket, bool wrong) {
  ++n_audits_;
  for (size_t k = 0; k < regions_.size(); ++k) {
    if (ticket.score >= settings_.thresholds[k]) regions_[k].add(wrong, ticket.weight);
  }
  find_open();
}

std::string Calibration::save() const {
  ByteWriter body;
  body.f64(settings_.delta).f64(settings_.alpha).f64(settings_.audit_share).f64(settings_.shadow_share);
  body.u32(static_cast<uint32_t>(regions_.size())).u64(n_audits_);
  for (size_t k = 0; k < regions_.size(); ++k) {
    const ErrorEvidence::State state = regions_[k].state();
    body.f64(settings_.thresholds[k]);
    for (const double wealth : state.wealth) body.f64(wealth);
    body.f64(state.audited).f64(state.wrong).u64(state.restarts);
  }
  return ByteWriter().raw(kMagic).u64(hash128(body.bytes()).low64()).raw(body.bytes()).bytes();
}

Result<void> Calibration::restore(std::string_view bytes) {
  const auto corrupt = [&](std::string_view what) {
    return fail(ErrorCode::kCorrupt, fmt::format("calibration of {} bytes: {}", bytes.size(), what));
  };
  if (!bytes.starts_with(kMagic)) return corrupt("expected it to begin with TDCALIB1");
  ByteReader in(bytes.substr(kMagic.size()));
  if (in.u64() != hash128(in.rest()).low64() || in.failed()) return corrupt("its checksum is another");
  const double delta = in.f64(), alpha = in.f64(), audit = in.f64(), shadow = in.f64();
  const bool same = delta == settings_.delta && alpha == settings_.alpha && audit == settings_.audit_share &&
                    shadow == settings_.shadow_share && in.u32() == regions_.size();
  if (!same) return fail(ErrorCode::kInvalid, "calibration: it was learned with other settings");
  const uint64_t n_audits = in.u64();
  std::vector<ErrorEvidence> regions = regions_;
  for (size_t k = 0; k < regions.size(); ++k) {
    if (in.f64() != settings_.thresholds[k]) {
      return fail(ErrorCode::kInvalid, "calibration: it was learned with other thresholds");
    }
    ErrorEvidence::State state{};
    for (double& wealth : state.wealth) wealth = in.f64();
    state.audited = in.f64();
    state.wrong = in.f64();
    state.restarts = in.u64();
    if (in.failed() || !regions[k].set(state)) return corrupt("a region's evidence cannot be");
  }
  if (!in.rest().empty()) return corrupt("bytes are left over");
  regions_ = std::move(regions);
  n_audits_ = n_audits;
  find_open();
  return {};
}

}  // namespace tandem::semantic
